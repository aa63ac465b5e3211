"""What the command line takes back while a daemon remembers it, on both databases."""

import asyncio

import pytest

from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.revocation import keep_revoking
from aibridged.identity.tables import StoreUnavailableError
from aibridged.identity.token_authenticator import TokenAuthenticator
from aibridged.identity.tokens import TokenStore


async def until(condition):
    """Let the event loop run until it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a thread makes it so, and tells nobody
            await asyncio.sleep(0.002)


@pytest.fixture
async def cache(store, clock):
    """A daemon's, whose clock stands still: by itself it forgets nothing."""
    authenticator = TokenAuthenticator(store, clock)
    cache = CachedAuthenticator(authenticator, clock)
    revoking = asyncio.ensure_future(keep_revoking(cache, store, interval=0))  # noqa: TID251
    yield cache
    assert not revoking.done()
    revoking.cancel()
    await authenticator.close()


@pytest.fixture
def tokens(store):
    made = {}
    for username in ("ann", "bob", "eve"):
        store.create_user(username)
        made[username] = store.create_token(username, name="", lifetime=None)[1].reveal()
    return made


async def test_what_another_process_takes_back_is_soon_refused(cache, tokens, engine, clock):
    for token in tokens.values():
        assert await cache.authenticate(token) is not None
    commands = TokenStore(engine, clock)
    commands.revoke_token(tokens["ann"].split("_")[1])
    await until(lambda: cache.known(tokens["ann"]) is None)
    assert await cache.authenticate(tokens["ann"]) is None
    commands.suspend_user("bob")
    await until(lambda: cache.known(tokens["bob"]) is None)
    assert await cache.authenticate(tokens["bob"]) is None
    assert cache.known(tokens["eve"]) is not None


async def test_a_database_that_is_away_revokes_nothing_and_ends_nothing(
    cache, tokens, store, monkeypatch
):
    asked = []

    def fail(token_ids):
        asked.append(token_ids)
        raise StoreUnavailableError("away")

    actor = await cache.authenticate(tokens["ann"])
    with monkeypatch.context() as patch:
        patch.setattr(store, "still_good", fail)
        await until(lambda: len(asked) > 1)
    assert asked[0] == {actor.api_key_id}
    assert cache.known(tokens["ann"]) is not None
    store.delete_user("ann")
    await until(lambda: cache.known(tokens["ann"]) is None)
