import asyncio
import threading
import traceback

import pytest
from loguru import logger

from aibridged.identity.base import AuthUnavailableError, TokenRejectedError
from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.tables import metadata
from aibridged.identity.token_authenticator import TokenAuthenticator
from aibridged.identity.tokens import TokenStore


@pytest.fixture
def token(store):
    store.create_user("alice")
    return store.create_token("alice", name="laptop", lifetime=None)[1].reveal()


@pytest.fixture
async def authenticator(store, clock):
    authenticator = TokenAuthenticator(store, clock)
    yield authenticator
    await authenticator.close()


@pytest.fixture
def log():
    lines = []
    sink = logger.add(lines.append, format="{message}", level=0)
    yield lines
    logger.remove(sink)


async def test_a_token_of_the_store_is_its_users(authenticator, store, token):
    [user] = store.list_users()
    actor = await authenticator.authenticate(token)
    assert (actor.id, actor.username) == (user.id, "alice")


@pytest.mark.parametrize("wrong", [None, "", "nonsense", "aib_0123456789_" + "x" * 43])
async def test_anything_else_is_nobodys(authenticator, token, wrong):
    assert await authenticator.authenticate(wrong) is None


async def test_a_lookup_never_runs_on_the_event_loop(authenticator, store, token, monkeypatch):
    threads = []
    real = store.authenticate
    monkeypatch.setattr(
        store, "authenticate", lambda text: threads.append(threading.current_thread()) or real(text)
    )
    assert await authenticator.authenticate(token) is not None
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_a_database_that_fails_lets_nobody_in(authenticator, engine, token):
    metadata.drop_all(engine)
    with pytest.raises(AuthUnavailableError) as caught:
        await authenticator.authenticate(token)
    assert token[15:] not in "".join(traceback.format_exception(caught.value))


async def test_a_database_that_hangs_lets_nobody_in(store, clock, token, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(store, "authenticate", lambda text: goes_on.wait(10))
    authenticator = TokenAuthenticator(store, clock, timeout=0.01)
    with pytest.raises(AuthUnavailableError, match=r"longer than 0\.01 s"):
        await authenticator.authenticate(token)
    goes_on.set()
    await authenticator.close()


async def test_the_use_of_a_token_is_written_down(store, clock, token):
    authenticator = TokenAuthenticator(store, clock)
    await authenticator.authenticate(token)
    await authenticator.authenticate("aib_0123456789_" + "x" * 43)
    await authenticator.close()
    [info] = store.list_tokens()
    [user] = store.list_users()
    assert info.last_used_at == user.last_seen_at == clock.wall()


async def test_uses_wait_for_each_other_and_requests_do_not(store, clock, token, monkeypatch):
    """While one write hangs, lookups go on; then what has gathered is written in one go."""
    goes_on, written = threading.Event(), []

    def record_uses(used_at, seen_at):
        goes_on.wait(10)
        written.append(sorted(used_at))

    monkeypatch.setattr(store, "record_uses", record_uses)
    others = [store.create_token("alice", name="", lifetime=None)[1].reveal() for _ in range(3)]
    authenticator = TokenAuthenticator(store, clock, gather=0)
    assert await authenticator.authenticate(token) is not None
    await asyncio.sleep(0)  # the first write begins
    for text in (*others, *others):
        assert await authenticator.authenticate(text) is not None
    assert written == []
    goes_on.set()
    await authenticator.close()
    assert written == [[token.split("_")[1]], sorted(text.split("_")[1] for text in others)]


async def test_uses_of_a_while_are_one_write(store, clock, token, monkeypatch):
    written = []
    monkeypatch.setattr(store, "record_uses", lambda used_at, _: written.append(sorted(used_at)))
    other = store.create_token("alice", name="", lifetime=None)[1].reveal()
    authenticator = TokenAuthenticator(store, clock)
    for text in (token, other):
        await authenticator.authenticate(text)
    assert written == []
    await authenticator.close()
    assert written == [sorted(text.split("_")[1] for text in (token, other))]


async def test_a_store_that_cannot_be_written_to_costs_a_log_line(
    store, clock, token, monkeypatch, log
):
    def record_uses(used_at, seen_at):
        raise AuthUnavailableError("read-only")

    monkeypatch.setattr(store, "record_uses", record_uses)
    authenticator = TokenAuthenticator(store, clock)
    assert await authenticator.authenticate(token) is not None
    await authenticator.close()
    assert log[0] == "The last use of 1 token could not be saved: read-only\n"
    assert token[15:] not in "".join(log)


async def test_what_this_process_revokes_is_refused_at_once(store, clock, token, authenticator):
    cache = CachedAuthenticator(authenticator, clock)
    actor = await cache.authenticate(token)
    store.revoke_token(actor.api_key_id)
    cache.forget({actor.api_key_id})
    with pytest.raises(TokenRejectedError):
        await cache.authenticate(token)


async def test_what_another_process_revokes_is_refused_within_a_minute(
    engine, clock, token, authenticator
):
    cache = CachedAuthenticator(authenticator, clock)
    actor = await cache.authenticate(token)
    TokenStore(engine, clock).suspend_user("alice")
    clock.advance(59)
    assert await cache.authenticate(token) == actor
    clock.advance(1)
    with pytest.raises(TokenRejectedError):
        await cache.authenticate(token)
