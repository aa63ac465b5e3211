"""The gate: who gets in, and how often an address may be wrong about it."""

import pytest

from aibridged.core.guessing import BURST, GuessLimiter
from aibridged.errors import PROXY_UNAUTHENTICATED, GatewayError
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.gate import Gate
from aibridged.identity.none import LOCAL_ACTOR, NoneAuthenticator

ALICE = Actor("1", "alice")


class Keeper:
    """Knows alice's token, and remembers her if told to."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.remembers = False
        self.away = False

    async def authenticate(self, token):
        self.asked.append(token)
        if self.away:
            raise AuthUnavailableError("the database is away")
        return ALICE if token == "alice's" else None

    def known(self, token):
        return ALICE if self.remembers and token == "alice's" else None


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def gate(keeper, clock) -> Gate:
    return Gate(keeper, GuessLimiter(clock), clock)


async def refusal(gate, token, address=b"a", **options) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await gate.actor(token, lambda: address, **options)
    return caught.value


async def test_whose_token_it_is(gate, keeper):
    assert await gate.actor("alice's", lambda: b"a") == ALICE
    keeper.remembers = True
    assert await gate.actor("alice's", pytest.fail) == ALICE
    assert keeper.asked == ["alice's"]


async def test_no_token_is_refused_without_a_question_and_is_no_guess(gate, keeper):
    for _ in range(BURST + 1):
        assert (await refusal(gate, None)).kind.code == "unauthenticated"
    assert keeper.asked == []


async def test_without_authentication_no_token_is_needed(clock):
    gate = Gate(NoneAuthenticator(), GuessLimiter(clock), clock)
    assert await gate.actor(None, pytest.fail) == LOCAL_ACTOR


async def test_the_refusal_is_that_of_the_way_in(gate):
    error = await refusal(gate, "wrong", refusal=PROXY_UNAUTHENTICATED)
    assert error.kind is PROXY_UNAUTHENTICATED


async def test_an_address_that_guesses_waits_and_others_do_not(gate, keeper, clock):
    for _ in range(BURST):
        assert (await refusal(gate, "wrong")).kind.status == 401
    blocked = await refusal(gate, "alice's")
    assert (blocked.kind.status, blocked.retry_after) == (429, 1)
    assert len(keeper.asked) == BURST
    assert await gate.actor("alice's", lambda: b"b") == ALICE
    clock.advance(1)
    assert await gate.actor("alice's", lambda: b"a") == ALICE


async def test_while_nobody_can_tell_nobody_gets_in_and_the_log_says_so_now_and_then(
    gate, keeper, clock, caplog_lines
):
    keeper.away = True
    for _ in range(BURST + 1):
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
