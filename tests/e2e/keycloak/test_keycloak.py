"""Against a real Keycloak: `make test-keycloak`."""

import asyncio
import html
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from yarl import URL

from aibridged.clock import SystemClock
from aibridged.config.options import Settings
from aibridged.config.secret import Secret
from aibridged.core.claims import Person, SignInRefusedError
from aibridged.oidc.base import GrantEndedError, ProviderUnavailableError
from aibridged.oidc.factory import make_provider
from aibridged.oidc.probe import probe_issuer
from aibridged.oidc.provider import OpenIdProvider
from tests.e2e.keycloak.server import (
    CLIENT_ID,
    CLIENT_SECRET,
    PASSWORD,
    REDIRECT_URI,
    Keycloak,
    home,
)
from tests.e2e.sign_in.conftest import Browser, SigningIn

FOLDER = os.environ.get("AIBRIDGED_KEYCLOAK", "")
VERIFIER, NONCE = "v" * 64, "n" * 32

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    assert home(Path(FOLDER)).is_dir()
    server = Keycloak(Path(FOLDER), tmp_path_factory.mktemp("keycloak"))
    yield server
    server.close()


@pytest.fixture
def settings(keycloak: Keycloak) -> Settings:
    return replace(
        Settings(),
        access_url="http://127.0.0.1:4001",
        oidc_issuer_url=keycloak.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=Secret(CLIENT_SECRET),
        oidc_scopes=("openid", "profile", "email", "offline_access"),
        oidc_group_field="groups",
        oidc_email_domain=("example.com",),
    )


@pytest.fixture
async def provider(settings: Settings) -> AsyncIterator[OpenIdProvider]:
    made = make_provider(settings, SystemClock())
    yield made
    await made.close()


async def log_in(keycloak: Keycloak, url: str, username: str) -> str:
    """Fill in Keycloak's own login page; where it sends the browser then."""
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=[URL(keycloak.url)])
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        async with browser.get(url) as response:
            page = await response.text()
        form = re.search(r'<form[^>]* action="([^"]+)"', page)
        assert form is not None, page
        filled = {"username": username, "password": PASSWORD, "credentialId": ""}
        target = html.unescape(form[1])
        async with browser.post(target, data=filled, allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            return response.headers["Location"]


async def code_of(keycloak: Keycloak, provider: OpenIdProvider, username: str) -> str:
    """Log in at Keycloak; the code that it sends the browser back with."""
    url = await provider.authorization_url(
        redirect_uri=REDIRECT_URI, state="s-1", nonce=NONCE, verifier=VERIFIER
    )
    back = await log_in(keycloak, url, username)
    assert back.startswith(f"{REDIRECT_URI}?")
    query = parse_qs(urlsplit(back).query)
    assert query["state"] == ["s-1"]
    return query["code"][0]


async def enter(
    keycloak: Keycloak, provider: OpenIdProvider, username: str = "alice"
) -> tuple[Person, Secret]:
    code = await code_of(keycloak, provider, username)
    person, refresh_token = await provider.exchange(
        code=code, redirect_uri=REDIRECT_URI, nonce=NONCE, verifier=VERIFIER
    )
    assert refresh_token is not None
    return person, refresh_token


async def test_it_is_discovered(settings: Settings) -> None:
    check = await probe_issuer(settings)
    assert (check.error, check.notes) == (None, ())
    assert check.keys >= 1


async def test_somebody_signs_in_and_refreshes(
    keycloak: Keycloak, provider: OpenIdProvider
) -> None:
    person, first = await enter(keycloak, provider)
    assert (person.username, person.name) == ("alice", "Alice Example")
    assert (person.email, person.groups) == ("alice@example.com", ("devs",))
    assert person.issuer == keycloak.issuer
    keycloak.move("alice", to="ops", away_from="devs")
    now, second = await provider.refresh(first, person.subject)
    assert (now.subject, now.groups) == (person.subject, ("ops",))
    assert second not in (None, first)
    # Its refresh tokens are good once.
    with pytest.raises(GrantEndedError):
        await provider.refresh(first, person.subject)


async def test_a_code_is_good_once(keycloak: Keycloak, provider: OpenIdProvider) -> None:
    code = await code_of(keycloak, provider, "alice")
    given = {"code": code, "redirect_uri": REDIRECT_URI, "nonce": NONCE}
    with pytest.raises(SignInRefusedError, match="already completed"):
        await provider.exchange(**given, verifier="w" * 64)
    with pytest.raises(SignInRefusedError, match="already completed"):
        await provider.exchange(**given, verifier=VERIFIER)


async def test_a_wrong_secret_is_the_gateways_fault(keycloak: Keycloak, settings: Settings) -> None:
    wrong = replace(settings, oidc_client_secret=Secret("wrong"))
    provider = make_provider(wrong, SystemClock())
    try:
        with pytest.raises(ProviderUnavailableError, match="check --oidc-client-id"):
            await enter(keycloak, provider)
    finally:
        await provider.close()


async def test_keys_rotate(
    keycloak: Keycloak, provider: OpenIdProvider, settings: Settings
) -> None:
    person, refresh_token = await enter(keycloak, provider)
    keycloak.rotate_keys()
    fresh = make_provider(settings, SystemClock())  # the other has asked for keys a moment ago
    try:
        now, _ = await fresh.refresh(refresh_token, person.subject)
    finally:
        await fresh.close()
    assert now.subject == person.subject


async def test_a_device_signs_in_at_a_gateway(
    keycloak: Keycloak, start_daemon: Callable[..., Awaitable[Any]], client: aiohttp.ClientSession
) -> None:
    """The whole way: device flow, Keycloak's page, a request, a refresh, and out."""
    url = keycloak.gateway_url
    await start_daemon(
        CODER_HTTP_ADDRESS=url.removeprefix("http://"),
        CODER_ACCESS_URL=url,
        CODER_AIBRIDGE_AUTH="token",
        CODER_OIDC_ISSUER_URL=keycloak.issuer,
        CODER_OIDC_CLIENT_ID=CLIENT_ID,
        CODER_OIDC_CLIENT_SECRET=CLIENT_SECRET,
        CODER_OIDC_SCOPES="openid,profile,email,offline_access",
        CODER_OIDC_GROUP_FIELD="groups",
        CODER_OIDC_ALLOWED_GROUPS="ops",
    )
    gateway, browser = SigningIn(url, client), Browser(url)
    try:
        codes = await gateway.start()
        left = await browser.answer(codes["user_code"])
        assert left.status == 303, left.shown
        page = await browser.get(await log_in(keycloak, left.headers["Location"], "carol"))
        assert page.status == 200, page.shown
    finally:
        await browser.session.close()
    tokens = (await gateway.poll(codes)).json
    assert tokens["email"] == "carol@example.com"
    assert (await gateway.models(tokens)).status == 200
    tokens = (await gateway.refresh(tokens)).json
    assert (await gateway.models(tokens)).status == 200
    keycloak.disable("carol")
    refused = await gateway.refresh(tokens)
    assert (refused.status, refused.json["error"]) == (401, "invalid_grant")
    async with asyncio.timeout(10):  # what is remembered of a token lasts a few seconds
        while (await gateway.models(tokens)).status != 401:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.1)


async def test_a_disabled_user_is_out(keycloak: Keycloak, provider: OpenIdProvider) -> None:
    person, refresh_token = await enter(keycloak, provider, "bob")
    keycloak.disable("bob")
    with pytest.raises(GrantEndedError):
        await provider.refresh(refresh_token, person.subject)
    with pytest.raises(AssertionError, match=r"(?i)disabled"):
        await code_of(keycloak, provider, "bob")
