"""What the command line takes back while a daemon remembers it, on both databases."""

import asyncio

import pytest

from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.base import (
    Actor,
    AuthUnavailableError,
    Rejection,
    TokenRejectedError,
)
from aibridged.identity.cache import GOOD_TTL_S, CachedAuthenticator
from aibridged.identity.revocation import keep_rechecking, keep_revoking
from aibridged.identity.tables import StoreUnavailableError
from aibridged.identity.token_authenticator import TokenAuthenticator
from aibridged.identity.tokens import TokenStore
from tests.waiting import until


@pytest.fixture
def active_requests(clock):
    return ActiveRequests(clock, grace=0)


@pytest.fixture
async def cache(store, clock, active_requests):
    """A daemon's, whose clock stands still: by itself it forgets nothing."""
    authenticator = TokenAuthenticator(store, clock)
    cache = CachedAuthenticator(authenticator, clock)
    revoking = asyncio.ensure_future(  # noqa: TID251
        keep_revoking(cache, authenticator.still_good, active_requests, interval=0)
    )
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


async def rejection(cache, token):
    with pytest.raises(TokenRejectedError) as caught:
        await cache.authenticate(token)
    return caught.value.rejection


async def test_what_another_process_takes_back_is_soon_refused(cache, tokens, engine, clock):
    for token in tokens.values():
        assert await cache.authenticate(token) is not None
    commands = TokenStore(engine, clock)
    commands.revoke_token(tokens["ann"].split("_")[1])
    await until(lambda: cache.known(tokens["ann"]) is None)
    assert await rejection(cache, tokens["ann"]) is Rejection.REVOKED
    commands.suspend_user("bob")
    await until(lambda: cache.known(tokens["bob"]) is None)
    assert await rejection(cache, tokens["bob"]) is Rejection.SUSPENDED
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


class Stream:
    """Something that runs on behalf of a token."""

    def __init__(self, active_requests, actor, token):
        self.is_over = False
        self._leave = lambda: active_requests.remove(self)
        active_requests.add(actor, token, self)

    def abort(self):
        self.is_over = True
        self._leave()


async def test_what_runs_ends_even_if_its_token_is_remembered_no_more(
    cache, tokens, store, clock, active_requests
):
    streams = {}
    for username, token in tokens.items():
        streams[username] = Stream(active_requests, await cache.authenticate(token), token)
    clock.advance(GOOD_TTL_S)
    assert cache.remembered() == set()
    store.revoke_token(tokens["ann"].split("_")[1])
    await until(lambda: streams["ann"].is_over)
    store.delete_user("bob")
    await until(lambda: streams["bob"].is_over)
    assert not streams["eve"].is_over


async def test_what_runs_ends_with_the_expiry_of_its_token(cache, store, clock, active_requests):
    store.create_user("ann")
    token = store.create_token("ann", name="", lifetime=3600)[1].reveal()
    actor = await cache.authenticate(token)
    assert actor.expires_at is not None
    stream = Stream(active_requests, actor, token)
    clock.advance(3599)
    assert cache.known(token) is None or not stream.is_over
    clock.advance(1)
    assert cache.known(token) is None
    await until(lambda: stream.is_over)


class Service:
    """Another service that knows tokens: what it answers, and what it was asked."""

    def __init__(self):
        self.good = {"ann's": Actor("1", "ann", "a"), "bob's": Actor("2", "bob", "b")}
        self.asked = []
        self.is_away = False

    async def authenticate(self, token):
        self.asked.append(token)
        if self.is_away:
            raise AuthUnavailableError("away")
        return self.good.get(token)


async def test_another_service_is_asked_about_what_runs_when_its_answer_is_forgotten(clock):
    service, active_requests = Service(), ActiveRequests(clock, grace=0)
    cache = CachedAuthenticator(service, clock)
    asking = asyncio.ensure_future(keep_rechecking(cache, active_requests, interval=0))  # noqa: TID251
    streams = {}
    for token in ("ann's", "bob's"):
        streams[token] = Stream(active_requests, await cache.authenticate(token), token)
    del service.good["ann's"]
    for _ in range(100):
        await asyncio.sleep(0)
    assert service.asked == ["ann's", "bob's"]  # who is remembered isn't asked about
    service.is_away = True
    clock.advance(GOOD_TTL_S)
    await until(lambda: len(service.asked) > 3)
    assert not any(stream.is_over for stream in streams.values())
    service.is_away = False
    await until(lambda: streams["ann's"].is_over)
    await until(lambda: service.asked[-1] == "bob's")
    assert not streams["bob's"].is_over
    asking.cancel()
