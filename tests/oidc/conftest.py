"""An identity provider in the test's loop, on real sockets and by the test's clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.secret import Secret
from aibridged.core.claims import ClaimRules, Person
from aibridged.oidc.http import Http
from aibridged.oidc.provider import Client, OpenIdProvider
from tests.conftest import ManualClock
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, sign_in

REDIRECT_URI = "http://127.0.0.1:4001/oauth/callback"
VERIFIER = "v" * 64
NONCE = "n" * 32
SCOPES = ("openid", "profile", "email", "offline_access")

SignIn = Callable[..., Awaitable[tuple[Person, Secret | None]]]


@pytest.fixture
async def idp(clock: ManualClock) -> AsyncIterator[IdentityProvider]:
    """A provider with one user, alice."""
    provider = IdentityProvider(clock=clock)
    await provider.start()
    provider.add_user("alice", groups=["devs"])
    yield provider
    await provider.close()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(OutboundProxies())
    yield client
    await client.close()


@pytest.fixture
def make(idp: IdentityProvider, http: Http, clock: ManualClock) -> Callable[..., OpenIdProvider]:
    """The gateway's side of it; fields of `Client` may be given."""
    client = Client(
        idp.issuer,
        CLIENT_ID,
        Secret(CLIENT_SECRET),
        SCOPES,
        ClaimRules(group_field="groups"),
    )
    return lambda **changed: OpenIdProvider(replace(client, **changed), http, clock)


@pytest.fixture
def provider(make: Callable[..., OpenIdProvider]) -> OpenIdProvider:
    return make()


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def code_of(browser: aiohttp.ClientSession) -> Callable[..., Awaitable[str]]:
    """Sign in at the provider, with its page; the code."""

    async def code_of(provider: OpenIdProvider, username: str = "alice") -> str:
        url = await provider.authorization_url(
            redirect_uri=REDIRECT_URI, state="s-1", nonce=NONCE, verifier=VERIFIER
        )
        back = await sign_in(browser, url, username)
        assert back.startswith(f"{REDIRECT_URI}?")
        query = parse_qs(urlsplit(back).query)
        assert query["state"] == ["s-1"]
        return query["code"][0]

    return code_of


@pytest.fixture
def enter(code_of: Callable[..., Awaitable[str]]) -> SignIn:
    """Sign in, and exchange the code; parameters of the exchange may be given."""

    async def enter(
        provider: OpenIdProvider, username: str = "alice", **changed: Any
    ) -> tuple[Person, Secret | None]:
        code = await code_of(provider, username)
        given = {
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "nonce": NONCE,
            "verifier": VERIFIER,
            **changed,
        }
        return await provider.exchange(**given)

    return enter
