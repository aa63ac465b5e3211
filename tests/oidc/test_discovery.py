"""An issuer that is away, comes back, and goes again."""

import asyncio
from collections.abc import Iterator

import pytest
from loguru import logger

from aibridged.clock import SystemClock
from aibridged.oidc import discovery as subject
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.discovery import Discovery
from aibridged.oidc.http import Http
from tests.conftest import ManualClock
from tests.identity_provider import IdentityProvider


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level}: {message}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def discovery(idp: IdentityProvider, http: Http, clock: ManualClock) -> Discovery:
    return Discovery(idp.issuer, http, clock)


async def test_an_issuer_is_discovered_once_an_hour(
    discovery: Discovery, idp: IdentityProvider, clock: ManualClock
) -> None:
    first = await discovery.get()
    assert await discovery.get() is first
    assert idp.requests["discovery"] == 1
    clock.advance(subject.MAX_AGE_S)
    idp.fail(discovery={"token_endpoint": f"{idp.issuer}/new"})
    assert (await discovery.get()).token_endpoint == f"{idp.issuer}/new"


async def test_one_that_is_away_is_asked_again_with_backoff(
    discovery: Discovery, idp: IdentityProvider, clock: ManualClock, log: list[str]
) -> None:
    idp.fail(answers={"discovery": {"status": 503}})
    for _ in range(3):
        with pytest.raises(ProviderUnavailableError, match="status 503; check --oidc-issuer-url"):
            await discovery.get()
    assert idp.requests["discovery"] == 1
    pause = subject.FIRST_BACKOFF_S
    for attempt in range(2, 12):
        clock.advance(pause * 0.49)
        with pytest.raises(ProviderUnavailableError):
            await discovery.get()
        assert idp.requests["discovery"] == attempt - 1
        clock.advance(pause * 0.51)
        with pytest.raises(ProviderUnavailableError):
            await discovery.get()
        assert idp.requests["discovery"] == attempt
        pause = min(2 * pause, subject.MAX_BACKOFF_S)
    assert len(log) == 1  # for the same reason
    assert "is unavailable" in log[0]
    assert "Nobody new can sign in until it is back" in log[0]
    idp.fail()
    clock.advance(subject.MAX_BACKOFF_S)
    await discovery.get()
    assert log[1].startswith("INFO: The identity provider")
    assert log[1].endswith("is back\n")


async def test_what_was_discovered_lasts_while_it_is_away(
    discovery: Discovery, idp: IdentityProvider, clock: ManualClock, log: list[str]
) -> None:
    found = await discovery.get()
    await idp.away()
    clock.advance(subject.MAX_AGE_S)
    assert await discovery.get() is found
    assert "connection refused" in log[0]
    assert "endpoints may be old" in log[0]


async def test_many_ask_once(discovery: Discovery, idp: IdentityProvider) -> None:
    await asyncio.gather(*(discovery.get() for _ in range(20)))
    assert idp.requests["discovery"] == 1


async def test_it_is_waited_for(idp: IdentityProvider, http: Http, log: list[str]) -> None:
    await idp.away()
    discovery = Discovery(idp.issuer, http, SystemClock(), first_backoff=0.01)
    with pytest.raises(ProviderUnavailableError):
        await discovery.get()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(discovery.until_found())
        await idp.back()
    assert log[-1].endswith("is back\n")
