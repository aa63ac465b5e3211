"""Signing in at a gateway in this process, with the test provider and a clock to move."""

import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import aiohttp
import pytest
from loguru import logger

from aibridged.config.kinds import Address
from aibridged.config.secret import Secret
from aibridged.identity.tokens import TokenStore
from tests import identity_provider
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider

# A real agent, where `make agents` has installed it.
collect_ignore = [] if os.environ.get("AIBRIDGED_AGENTS") else ["test_claude_code.py"]

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}


@dataclass
class Reply:
    """A response that has been read."""

    status: int
    headers: Any
    text: str
    json: Any = field(default=None)

    @property
    def shown(self) -> str:
        """A page's text, without its tags and style."""
        body = re.sub(r"(?s)<style>.*?</style>|<[^>]+>", " ", self.text)
        return " ".join(unescape(body).split())


class Browser:
    """A browser with its cookies; it follows nothing by itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.session.cookie_jar}

    async def get(self, path: str, **options: Any) -> Reply:
        url = path if path.startswith("http") else self.url + path
        return await read(self.session.get(url, allow_redirects=False, **options))

    async def post(self, form: dict[str, str], headers: Any = SAME_ORIGIN) -> Reply:
        url = f"{self.url}/device"
        return await read(self.session.post(url, data=form, headers=headers, allow_redirects=False))

    async def answer(self, user_code: str, answer: str = "yes") -> Reply:
        return await self.post({"user_code": user_code, "answer": answer})

    async def at_provider(self, location: str, username: str, **options: Any) -> str:
        """Fill in the provider's page; where that sends the browser."""
        async with aiohttp.ClientSession() as theirs:
            return await identity_provider.sign_in(theirs, location, username, **options)

    async def confirm(self, user_code: str, username: str) -> Reply:
        """Confirm a device, and sign in at the provider; the last page."""
        left = await self.answer(user_code)
        if left.status == 200:
            return left  # it is signed in already
        assert left.status == 303, left.shown
        return await self.get(await self.at_provider(left.headers["Location"], username))


async def read(request: Any) -> Reply:
    async with request as response:
        text = await response.text()
        is_json = response.content_type == "application/json"
        return Reply(
            response.status, response.headers, text, await response.json() if is_json else None
        )


class SigningIn:
    """A gateway with its identity provider, as a device sees it."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self.url = url
        self._client = client

    async def post(self, path: str, data: Any = None, **options: Any) -> Reply:
        options = {"allow_redirects": False, "ssl": False, **options}
        return await read(self._client.post(self.url + path, data=data, **options))

    async def get(self, path: str, **options: Any) -> Reply:
        return await read(
            self._client.get(self.url + path, allow_redirects=False, ssl=False, **options)
        )

    async def start(self, user_agent: str = "claude-code/2.1.332") -> dict[str, Any]:
        form = {"surface": "claude_code"}
        headers = {"User-Agent": user_agent}
        reply = await self.post("/oauth/device_authorization", form, headers=headers)
        assert reply.status == 200
        return reply.json

    async def poll(self, codes: dict[str, Any]) -> Reply:
        form = {"grant_type": DEVICE_CODE, "device_code": codes["device_code"]}
        return await self.post("/oauth/token", form)

    async def refresh(self, tokens: dict[str, Any]) -> Reply:
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        return await self.post("/oauth/token", form)

    async def models(self, tokens: dict[str, Any]) -> Reply:
        """What a bearer is good for."""
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return await self.get("/anthropic/v1/models", headers=headers)


@pytest.fixture
def today(clock, monkeypatch) -> None:
    """The provider has the gateway's time."""
    monkeypatch.setattr(identity_provider, "SystemClock", lambda: clock)


@pytest.fixture
async def provider(today) -> AsyncIterator[IdentityProvider]:
    """The identity provider; ann and bob have accounts."""
    provider = IdentityProvider()
    await provider.start()
    provider.add_user("ann", groups=["engineers"])
    provider.add_user("bob")
    yield provider
    await provider.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def settings_for(provider) -> Callable[..., dict[str, Any]]:
    """The settings of a gateway at a port whose users sign in at the provider."""

    def settings_for(port: int, **changes: Any) -> dict[str, Any]:
        return {
            "auth": "token",
            "http_address": Address("127.0.0.1", port),
            "access_url": f"http://127.0.0.1:{port}",
            "oidc_issuer_url": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": Secret(CLIENT_SECRET),
            "oidc_scopes": ("openid", "profile", "email", "groups", "offline_access"),
            "oidc_group_auto_create": True,
            **changes,
        }

    return settings_for


@pytest.fixture
async def signing_in(
    start_gateway, settings_for, client, sqlite_database
) -> Callable[..., Awaitable[SigningIn]]:
    """Starts gateways at which people sign in, on SQLite."""

    async def start(**changes: Any) -> SigningIn:
        port = free_port()
        changes = {"state_dir": sqlite_database.state_dir, **changes}
        if "tls_cert_file" in changes:
            changes["access_url"] = f"https://localhost:{port}"
        settings = settings_for(port, **changes)
        await start_gateway(**settings)
        return SigningIn(settings["access_url"], client)

    return start


@pytest.fixture
async def gateway(signing_in) -> SigningIn:
    return await signing_in()


@pytest.fixture
async def new_browser(request) -> AsyncIterator[Callable[[SigningIn], Browser]]:
    made: list[Browser] = []

    def new(at: SigningIn) -> Browser:
        made.append(Browser(at.url))
        return made[-1]

    yield new
    for browser in made:
        await browser.session.close()


@pytest.fixture
async def browser(gateway, new_browser) -> Browser:
    return new_browser(gateway)


@pytest.fixture
def sign_in(gateway, browser) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Signs a device in with the browser; its tokens."""

    async def sign_in(username: str = "ann") -> dict[str, Any]:
        codes = await gateway.start()
        page = await browser.confirm(codes["user_code"], username)
        assert page.status == 200, page.shown
        reply = await gateway.poll(codes)
        assert reply.status == 200, reply.json
        return reply.json

    return sign_in


@pytest.fixture
def store(sqlite_database, clock) -> TokenStore:
    return TokenStore(sqlite_database.engine, clock)


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level}: {message} {extra}", level=0)
    yield lines
    logger.remove(sink)
