"""The gate: who gets in, and how many look-ups an address has under way."""

import asyncio

import pytest

from aibridged.errors import PROXY_UNAUTHENTICATED, UNAUTHENTICATED, GatewayError
from aibridged.identity.active_requests import ActiveRequests
from aibridged.identity.anonymous import LOCAL_ACTOR, NoneAuthenticator
from aibridged.identity.base import (
    Actor,
    AuthUnavailableError,
    Rejection,
    TokenRejectedError,
)
from aibridged.identity.lookups import Lookups
from aibridged.identity.throttle import Throttle, TokenRefusedError

ALICE = Actor("1", "alice")
EVE = Actor("2", "eve", "0123456789")


class Keeper:
    """Knows alice's token, and remembers her if told to."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.remembers = False
        self.away = False
        self.rejected: dict[str | None, Rejection] = {}
        self.answers = asyncio.Event()
        self.answers.set()

    async def authenticate(self, token):
        self.asked.append(token)
        await self.answers.wait()
        if token in self.rejected:
            raise TokenRejectedError(self.rejected[token], EVE)
        if self.away:
            raise AuthUnavailableError("the database is away")
        return ALICE if token == "alice's" else None

    def known(self, token, key=None):
        return ALICE if self.remembers and token == "alice's" else None

    def refuses(self, token):
        if token in self.rejected and self.remembers:
            raise TokenRejectedError(self.rejected[token], EVE)
        return self.remembers and token != "alice's"


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def gate(keeper, clock) -> Throttle:
    return Throttle(keeper, Lookups(2, clock, room=8), ActiveRequests(clock), clock)


async def refusal(gate, token, address=b"a", **options) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await gate.actor(token, lambda: address, **options)
    return caught.value


async def test_whose_token_it_is(gate, keeper):
    assert await gate.actor("alice's", lambda: b"a") == ALICE
    keeper.remembers = True
    assert await gate.actor("alice's", pytest.fail) == ALICE
    assert keeper.asked == ["alice's"]


async def test_what_is_known_to_be_wrong_is_refused_without_a_question_and_without_a_place(
    gate, keeper
):
    keeper.remembers = True
    for token in (None, "eve's"):
        with pytest.raises(GatewayError) as caught:
            await gate.actor(token, pytest.fail)
        assert caught.value.kind.code == "unauthenticated"
    assert keeper.asked == []


async def test_without_authentication_no_token_is_needed(clock):
    gate = Throttle(NoneAuthenticator(), Lookups(2, clock), ActiveRequests(clock), clock)
    assert await gate.actor(None, pytest.fail) == LOCAL_ACTOR


async def test_the_refusal_is_that_of_the_way_in(gate):
    error = await refusal(gate, "wrong", refusal=PROXY_UNAUTHENTICATED)
    assert error.kind is PROXY_UNAUTHENTICATED


@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("rejection", Rejection)
@pytest.mark.parametrize("way", [UNAUTHENTICATED, PROXY_UNAUTHENTICATED])
async def test_a_token_that_was_valid_once_is_told_why_it_is_not(
    gate, keeper, remembers, rejection, way
):
    keeper.remembers, keeper.rejected = remembers, {"eve's": rejection}
    error = await refusal(gate, "eve's", refusal=way)
    assert isinstance(error, TokenRefusedError)
    assert (error.kind.code, error.kind.status) == (rejection.value, way.status)
    assert error.message == f"{error.kind.sentence} Its id is 0123456789."
    assert error.actor == EVE


async def test_wrong_tokens_lock_nobody_out(gate):
    for number in range(1000):
        assert (await refusal(gate, f"wrong-{number}")).kind.status == 401
    assert await gate.actor("alice's", lambda: b"a") == ALICE


async def test_an_address_that_floods_is_told_to_come_again_and_others_are_not_kept_waiting(
    gate, keeper
):
    keeper.answers.clear()
    loop = asyncio.get_running_loop()
    flood = [loop.create_task(refusal(gate, f"wrong-{number}")) for number in range(5)]
    await asyncio.sleep(0)
    assert keeper.asked == ["wrong-0"]
    error = await refusal(gate, "alice's")
    assert (error.kind.status, error.retry_after) == (429, 2)
    other = loop.create_task(gate.actor("alice's", lambda: b"b"))
    await asyncio.sleep(0)
    assert keeper.asked == ["wrong-0", "alice's"]
    keeper.answers.set()
    assert await other == ALICE
    assert {error.kind.status for error in await asyncio.gather(*flood)} == {401}
    assert await gate.actor("alice's", lambda: b"a") == ALICE


async def test_while_nobody_can_tell_nobody_gets_in_and_the_log_says_so_now_and_then(
    gate, keeper, clock, caplog_lines
):
    keeper.away = True
    for _ in range(50):
        error = await refusal(gate, "alice's")
        assert (error.kind.status, error.retry_after) == (503, 2)
    assert len(caplog_lines) == 1
    assert "the database is away" in caplog_lines[0]
    clock.advance(10)
    await refusal(gate, "alice's")
    assert len(caplog_lines) == 2


@pytest.fixture
def caplog_lines():
    from loguru import logger

    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)
