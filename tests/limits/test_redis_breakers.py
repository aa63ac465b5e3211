"""Circuits that open and close in all replicas together, by a real Redis."""

import asyncio

import pytest

from aibridged.core.breaker import Admission, BreakerKey, Breakers
from aibridged.core.circuit import BreakerSettings, Rejection, State
from aibridged.limits.redis_breakers import MAX_NAME, RedisBreakers
from aibridged.tasks import Tasks
from tests.waiting import until

KEY = BreakerKey("anthropic", "/v1/messages", "claude", "centralized")
RULES = BreakerSettings(failure_threshold=4, interval=10.0, timeout=30.0, max_requests=3)


@pytest.fixture
async def circuits(patient, join, clock):
    """Makes the circuits of another replica, with what they have changed to."""
    tasks = Tasks()

    async def make(rules=RULES, replicas=3):
        replica = await join(replicas=replicas)
        changes = []

        def on_change(key, before, now):
            changes.append((key, before, now))

        def own(rules, on_change):
            return Breakers(rules, clock, on_change)

        breakers = RedisBreakers(rules, on_change, own, replica.lane)
        breakers.listen(replica.news, tasks)
        await breakers.catch_up()
        return breakers, changes, replica

    yield make
    await tasks.cancel()


def fail(breakers, times=1, key=KEY):
    for _ in range(times):
        admission = breakers.admit(key)
        assert isinstance(admission, Admission)
        admission.failure()


def state(breakers, key=KEY):
    return breakers.states().get(key, State.CLOSED)


async def test_the_failures_of_all_open_all(circuits):
    (one, _, _), (other, changes, _), (third, _, _) = [await circuits() for _ in range(3)]
    fail(one, 2)
    fail(other, 2)  # no replica has seen four
    await until(lambda: [state(each) for each in (one, other, third)] == [State.OPEN] * 3)
    assert isinstance(third.admit(KEY), Rejection)
    assert isinstance(third.admit(KEY._replace(model="other")), Admission)
    assert changes == [(KEY, State.CLOSED, State.OPEN)]
    late, _, _ = await circuits()
    assert state(late) is State.OPEN


async def test_a_success_anywhere_clears_the_failures_of_all(circuits):
    (one, _, _), (other, _, _) = [await circuits() for _ in range(2)]
    fail(one, 3)
    await until(lambda: KEY in other._failing)
    other.admit(KEY).success()
    await asyncio.sleep(0.02)  # nothing happens when it is cleared
    fail(other, 3)
    await asyncio.sleep(0.02)
    assert [state(one), state(other)] == [State.CLOSED] * 2
    fail(other)
    await until(lambda: state(one) is State.OPEN)


async def test_one_that_opens_opens_all_and_one_that_closes_closes_all(circuits, clock):
    (one, _, _), (other, _, _) = [await circuits() for _ in range(2)]
    fail(one, 4)
    await until(lambda: state(other) is State.OPEN)
    clock.advance(30)
    assert [state(one), state(other)] == [State.HALF_OPEN] * 2
    # Of three probes each of three replicas has one.
    probe = one.admit(KEY)
    assert isinstance(one.admit(KEY), Rejection)
    assert isinstance(other.admit(KEY), Admission)
    assert isinstance(other.admit(KEY), Rejection)
    probe.success()
    assert state(one) is State.CLOSED
    await until(lambda: state(other) is State.CLOSED)
    fail(one, 4)
    await until(lambda: state(other) is State.OPEN)
    clock.advance(30)
    assert [state(one), state(other)] == [State.HALF_OPEN] * 2
    one.admit(KEY).failure()
    await until(lambda: state(other) is State.OPEN)


async def test_an_outcome_from_before_the_last_change_is_not_counted(circuits, clock):
    breakers, _, replica = await circuits(replicas=1)
    old = [breakers.admit(KEY) for _ in range(4)]
    fail(breakers, 4)
    clock.advance(30)
    for _ in range(3):
        breakers.admit(KEY).success()
    assert state(breakers) is State.CLOSED
    for admission in old:
        admission.failure()
    fail(breakers, 3)
    await asyncio.sleep(0.02)
    assert state(breakers) is State.CLOSED
    assert replica.lane.is_up


async def test_without_redis_each_goes_by_what_it_sees(circuits, redis_server):
    (one, _, a), (other, _, _) = [await circuits() for _ in range(2)]
    redis_server.kill()
    await until(lambda: not a.lane.is_up)
    fail(one, 4)
    assert [state(one), state(other)] == [State.OPEN, State.CLOSED]


async def test_news_that_name_no_circuit_are_ignored(circuits):
    breakers, changes, _ = await circuits()
    long = "x" * (MAX_NAME + 1)
    bodies = ("", "[]", '["a","b","c"]', '["a","b","c",1]', '{"a":1}', f'["{long}","","",""]')
    for body in bodies:
        for hear in (breakers.hear_opened, breakers.hear_closed, breakers.hear_failing):
            hear(1000, body)
    assert (changes, breakers.states()) == ([], {})


async def test_an_opening_elsewhere_lasts_no_longer_than_ones_own(circuits, clock):
    breakers, _, _ = await circuits()
    breakers.hear_opened(10**15, '["anthropic","/v1/messages","claude","centralized"]')
    assert state(breakers) is State.OPEN
    clock.advance(30)
    assert state(breakers) is State.HALF_OPEN


async def test_a_model_named_by_half_a_character_is_no_failure(circuits):
    breakers, _, replica = await circuits()
    fail(breakers, 4, KEY._replace(model="a\ud800"))
    assert state(breakers, KEY._replace(model="a\ud800")) is State.OPEN
    await asyncio.sleep(0.02)
    assert replica.lane.is_up
