"""The cache of keys: when it asks, and what it does with keys that are gone or unknown."""

import asyncio
import json

import pytest
from joserfc.jwk import ECKey

from aibridged.oidc import keys as subject
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.keys import KeyCache
from tests.conftest import ManualClock


class Published:
    """What a provider publishes; None: it can't be reached."""

    def __init__(self) -> None:
        self.keys: list[str] | None = ["one"]
        self.fetches = 0

    async def fetch(self) -> bytes:
        self.fetches += 1
        await asyncio.sleep(0)  # others get their turn meanwhile
        if self.keys is None:
            raise ProviderUnavailableError("away")
        return json.dumps({"keys": [{**_PUBLIC, "kid": kid} for kid in self.keys]}).encode()


_PUBLIC = dict(ECKey.generate_key("P-256").as_dict(private=False))


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def cache(published: Published, clock: ManualClock) -> KeyCache:
    return KeyCache(published.fetch, clock)


async def ids(cache: KeyCache, kid: str | None) -> list[str | None]:
    return [key.kid for key in await cache.with_id(kid)]


async def test_known_keys_are_fetched_once_an_hour(
    cache: KeyCache, published: Published, clock: ManualClock
) -> None:
    assert await ids(cache, "one") == await ids(cache, None) == ["one"]
    assert published.fetches == 1
    published.keys = ["two"]
    clock.advance(subject.MAX_AGE_S)
    assert await ids(cache, "one") == ["two"]


async def test_an_unknown_key_is_asked_for_once_an_interval(
    cache: KeyCache, published: Published, clock: ManualClock
) -> None:
    await cache.with_id("one")
    published.keys = ["one", "two"]
    for _ in range(3):
        assert await ids(cache, "two") == ["one"]
    clock.advance(subject.INTERVAL_S)
    assert await ids(cache, "two") == ["one", "two"]
    for _ in range(3):
        await cache.with_id("three")
    assert published.fetches == 2


async def test_keys_of_a_provider_that_is_away_stay_good(
    cache: KeyCache, published: Published, clock: ManualClock
) -> None:
    await cache.with_id("one")
    published.keys = None
    clock.advance(subject.MAX_AGE_S)
    assert await ids(cache, "one") == ["one"]
    assert await ids(cache, "one") == ["one"]
    assert published.fetches == 2  # not with every token
    clock.advance(subject.INTERVAL_S)
    with pytest.raises(ProviderUnavailableError, match="away"):
        await cache.with_id("two")


async def test_without_any_keys_there_is_no_pause(cache: KeyCache, published: Published) -> None:
    published.keys = None
    with pytest.raises(ProviderUnavailableError):
        await cache.with_id("one")
    published.keys = ["one"]
    assert await ids(cache, "one") == ["one"]


async def test_many_who_wait_at_once_share_a_failure(cache: KeyCache, published: Published) -> None:
    published.keys = None
    waiting = [cache.with_id("one") for _ in range(20)]
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(each) for each in failures} == {"away"}
    assert published.fetches == 1
