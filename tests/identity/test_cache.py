import asyncio
import gc
from datetime import timedelta

import pytest

from aibridged.identity.base import (
    Actor,
    AuthUnavailableError,
    Rejection,
    TokenRejectedError,
)
from aibridged.identity.cache import BAD_TTL_S, GOOD_TTL_S, MAX_ENTRIES, CachedAuthenticator

ALICE = Actor("1", "alice", "token-1")
BOB = Actor("2", "bob", "token-2")


class Backend:
    """Answers from a table as it was when it was asked, as soon as `open` is set."""

    def __init__(self):
        self.answers = {"alice": ALICE, "alice2": Actor("1", "alice", "token-3"), "bob": BOB}
        self.asked = []
        self.open = asyncio.Event()
        self.open.set()

    async def authenticate(self, token):
        self.asked.append(token)
        answer = self.answers.get(token)
        await self.open.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def cache(backend, clock):
    return CachedAuthenticator(backend, clock)


def begin(cache, *tokens):
    """Requests that all come at once."""
    loop = asyncio.get_running_loop()
    return [loop.create_task(cache.authenticate(token)) for token in tokens]


async def settle():
    """Let every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_good_answer_is_remembered_for_a_minute(cache, backend, clock):
    assert await cache.authenticate("alice") == ALICE
    clock.advance(59.9)
    assert await cache.authenticate("alice") == ALICE
    assert backend.asked == ["alice"]
    clock.advance(0.1)
    backend.answers["alice"] = None
    assert await cache.authenticate("alice") is None
    assert backend.asked == ["alice"] * 2


async def test_a_bad_answer_is_remembered_for_ten_seconds(cache, backend, clock):
    assert await cache.authenticate("eve") is None
    clock.advance(9.9)
    backend.answers["eve"] = BOB
    assert await cache.authenticate("eve") is None
    assert backend.asked == ["eve"]
    clock.advance(0.1)
    assert await cache.authenticate("eve") == BOB


async def test_a_good_answer_ends_with_its_token(cache, backend, clock):
    for seconds in (30, 90):
        expires_at = clock.wall() + timedelta(seconds=seconds)
        backend.answers[f"for {seconds} s"] = Actor("1", "alice", f"{seconds}", False, expires_at)
        await cache.authenticate(f"for {seconds} s")
    clock.advance(29.9)
    assert cache.known("for 30 s") is not None
    clock.advance(0.1)
    assert cache.known("for 30 s") is None
    clock.advance(29.9)
    assert cache.known("for 90 s") is not None
    clock.advance(0.1)
    assert cache.known("for 90 s") is None  # its end is later than that of the answer


async def test_the_reason_of_a_rejection_is_remembered_and_told_to_all_who_wait(
    cache, backend, clock
):
    backend.answers["alice"] = TokenRejectedError(Rejection.EXPIRED, ALICE)
    backend.open.clear()
    requests = begin(cache, *["alice"] * 3)
    await settle()
    backend.open.set()
    ends = await asyncio.gather(*requests, return_exceptions=True)
    with pytest.raises(TokenRejectedError) as again:
        await cache.authenticate("alice")
    with pytest.raises(TokenRejectedError) as refused:
        cache.refuses("alice")
    told = [*ends, again.value, refused.value]
    assert [(end.rejection, end.actor) for end in told] == [(Rejection.EXPIRED, ALICE)] * 5
    assert (backend.asked, cache.hits) == (["alice"], 2)
    clock.advance(10)
    backend.answers["alice"] = ALICE
    assert await cache.authenticate("alice") == ALICE


async def test_a_rejection_that_is_older_than_a_change_is_asked_for_again(cache, backend):
    backend.answers["alice"] = TokenRejectedError(Rejection.SUSPENDED, ALICE)
    backend.open.clear()
    [request] = begin(cache, "alice")
    await settle()
    backend.answers["alice"] = ALICE
    cache.forget({"token-1"})
    backend.open.set()
    assert await request == ALICE


async def test_whether_a_token_is_known_to_be_wrong_can_be_asked(cache, backend, clock):
    assert not cache.refuses("eve")
    await cache.authenticate("eve")
    await cache.authenticate("alice")
    assert cache.refuses("eve")
    assert not cache.refuses("alice")
    clock.advance(10)
    assert not cache.refuses("eve")
    assert cache.hits == 1


async def test_times_that_are_not_new_forget_nothing(cache):
    await cache.authenticate("alice")
    cache.limit(good_ttl=GOOD_TTL_S, bad_ttl=BAD_TTL_S, max_entries=MAX_ENTRIES)
    assert cache.known("alice") is not None


async def test_a_new_size_counts_for_what_comes(cache, backend):
    for token in ("alice", "bob"):
        await cache.authenticate(token)
    cache.limit(good_ttl=GOOD_TTL_S, bad_ttl=BAD_TTL_S, max_entries=1)
    assert cache.known("alice") is not None
    await cache.authenticate("alice2")
    tokens = ("alice", "bob", "alice2")
    assert [token for token in tokens if cache.known(token) is not None] == ["alice2"]


async def test_both_times_can_be_set_and_0_remembers_nothing(backend, clock):
    cache = CachedAuthenticator(backend, clock, good_ttl=5, bad_ttl=0)
    for token in ("alice", "alice", "eve", "eve"):
        await cache.authenticate(token)
    assert backend.asked == ["alice", "eve", "eve"]
    clock.advance(5)
    await cache.authenticate("alice")
    assert backend.asked[-1] == "alice"


async def test_new_times_count_for_new_answers_and_the_old_ones_are_forgotten(
    cache, backend, clock
):
    await cache.authenticate("alice")
    await cache.authenticate("nobody")
    cache.limit(good_ttl=5, bad_ttl=2, max_entries=MAX_ENTRIES)
    assert cache.known("alice") is None
    for seconds in (0, 2, 3):
        clock.advance(seconds)
        await cache.authenticate("alice")
        await cache.authenticate("nobody")
    assert backend.asked[2:] == ["alice", "nobody", "nobody", "alice", "nobody"]
    assert cache.hits == 1


async def test_hits_and_misses_are_counted(cache):
    for token in ("alice", "alice", "eve", "eve", "eve", "bob"):
        await cache.authenticate(token)
    assert (cache.hits, cache.misses) == (3, 3)


async def test_no_token_is_the_authenticators_business(backend, clock):
    backend.answers[None] = ALICE
    cache = CachedAuthenticator(backend, clock)
    assert await cache.authenticate(None) == ALICE
    assert await cache.authenticate(None) == ALICE
    assert backend.asked == [None, None]


async def test_wrong_tokens_drive_no_right_one_out(backend, clock):
    cache = CachedAuthenticator(backend, clock, max_entries=2)
    await cache.authenticate("alice")
    for number in range(100):
        await cache.authenticate(f"wrong-{number}")
    backend.asked.clear()
    assert await cache.authenticate("alice") == ALICE
    assert backend.asked == []
    await cache.authenticate("wrong-0")
    assert backend.asked == ["wrong-0"]


async def test_right_tokens_are_bounded_too(backend, clock):
    cache = CachedAuthenticator(backend, clock, max_entries=2)
    for token in ("alice", "alice2", "bob", "alice"):
        assert await cache.authenticate(token) is not None
    assert backend.asked == ["alice", "alice2", "bob", "alice"]


async def test_no_token_is_kept(cache):
    for token in ("alice", "a-secret-that-is-wrong"):
        await cache.authenticate(token)
    for kept in (cache._good, cache._bad):
        assert len(kept) == 1
        assert all(type(key) is bytes and len(key) == 16 for key, _ in kept)


async def test_many_requests_with_one_new_token_share_a_lookup(cache, backend):
    backend.open.clear()
    requests = begin(cache, *["alice"] * 50)
    await settle()
    assert backend.asked == ["alice"]
    backend.open.set()
    assert await asyncio.gather(*requests) == [ALICE] * 50
    assert backend.asked == ["alice"]


async def test_different_tokens_do_not_wait_for_each_other(cache, backend):
    backend.open.clear()
    requests = begin(cache, "alice", "bob")
    await settle()
    assert sorted(backend.asked) == ["alice", "bob"]
    backend.open.set()
    assert await asyncio.gather(*requests) == [ALICE, BOB]


@pytest.mark.parametrize("cancelled", [0, 1, 2], ids=["the first", "the second", "the last"])
async def test_a_cancelled_request_does_not_break_the_others(cache, backend, cancelled):
    backend.open.clear()
    requests = begin(cache, *["alice"] * 3)
    await settle()
    requests[cancelled].cancel()
    await settle()
    backend.open.set()
    ends = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(ends.pop(cancelled), asyncio.CancelledError)
    assert ends == [ALICE] * 2
    assert await cache.authenticate("alice") == ALICE
    # Whoever began the lookup takes it along; one of the others begins another.
    assert len(backend.asked) == (2 if cancelled == 0 else 1)


async def test_an_unreachable_backend_fails_all_who_wait_and_is_asked_again(cache, backend):
    backend.answers["alice"] = AuthUnavailableError("gone")
    backend.open.clear()
    requests = begin(cache, *["alice"] * 3)
    await settle()
    backend.open.set()
    ends = await asyncio.gather(*requests, return_exceptions=True)
    assert [(type(end), str(end)) for end in ends] == [(AuthUnavailableError, "gone")] * 3
    assert backend.asked == ["alice"]
    backend.answers["alice"] = ALICE
    assert await cache.authenticate("alice") == ALICE


async def test_an_unreachable_backend_with_nobody_waiting_leaves_no_complaint(cache, backend):
    """A future whose exception nobody fetched would be complained about when it is collected."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: complaints.append(context)
    )
    backend.answers["alice"] = AuthUnavailableError("gone")
    with pytest.raises(AuthUnavailableError):
        await cache.authenticate("alice")
    gc.collect()
    assert complaints == []


async def test_a_bug_behind_the_cache_reaches_everybody_and_locks_nobody_out(cache, backend):
    backend.answers["alice"] = ValueError("a bug")
    backend.open.clear()
    requests = begin(cache, *["alice"] * 3)
    await settle()
    backend.open.set()
    ends = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(end) for end in ends] == [ValueError] * 3
    backend.answers["alice"] = ALICE
    assert await cache.authenticate("alice") == ALICE


async def test_a_forgotten_token_is_refused_at_once(cache, backend):
    for token in ("alice", "alice2", "bob"):
        await cache.authenticate(token)
    assert cache.remembered() == {"token-1", "token-2", "token-3"}
    backend.answers.clear()
    cache.forget({"token-1"})
    assert await cache.authenticate("alice") is None
    assert await cache.authenticate("alice2") is not None
    assert await cache.authenticate("bob") == BOB


async def test_a_token_that_is_forgotten_while_it_is_looked_up_is_asked_for_again(cache, backend):
    """The answer on its way may be older than the revocation."""
    backend.open.clear()
    requests = begin(cache, *["alice"] * 2)
    await settle()
    backend.answers.clear()
    cache.forget({"token-1"})
    backend.open.set()
    assert await asyncio.gather(*requests) == [None, None]
    assert backend.asked == ["alice"] * 2


async def test_who_was_refused_is_asked_for_again_after_a_change(cache, backend):
    backend.answers["alice"] = None
    assert await cache.authenticate("alice") is None
    backend.answers["alice"] = ALICE
    cache.forget({"token-1"})
    assert await cache.authenticate("alice") == ALICE
