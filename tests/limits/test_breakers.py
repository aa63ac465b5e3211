"""The breakers of several workers: as those of one, whichever of them is asked."""

import pytest
from hypothesis import given
from hypothesis import settings as limits
from msgspec.structs import replace

from aibridged.core.breaker import Admission, BreakerKey, Breakers, Trouble
from aibridged.core.circuit import Rejection, State
from aibridged.limits.region import CIRCUIT_NAME, CIRCUITS, WAYS
from aibridged.limits.shared import SharedLimits
from tests.core.test_breaker import (
    CASES,
    CUSTOM,
    KEY,
    PLAIN,
    RULES,
    STEPS,
    ModelClock,
    Script,
    troubles,
)


class ByTurns:
    """The breakers of several workers, of which each is asked in its turn."""

    def __init__(self, *breakers: Breakers) -> None:
        self.all = breakers
        self._asked = 0

    def _next(self) -> Breakers:
        self._asked += 1
        return self.all[self._asked % len(self.all)]

    def admit(self, key: BreakerKey) -> Admission | Rejection:
        return self._next().admit(key)

    def states(self) -> dict[BreakerKey, State]:
        return self._next().states()


@pytest.fixture
def scripted(attach, clock):
    """A script's runner over all workers."""

    def make(settings):
        script = Script(settings, clock)
        script.breakers = ByTurns(
            *(attach(slot).breakers(settings, lambda *_: None) for slot in range(3))
        )
        return script

    return make


@pytest.mark.parametrize(("settings", "script"), CASES.values(), ids=CASES.keys())
def test_gobreakers_case_table(settings, script, scripted):
    scripted(settings).run(script)


@limits(deadline=None, max_examples=50)
@given(settings=RULES, steps=STEPS)
def test_any_course_of_events_goes_as_in_one_worker(settings, steps):
    clock = ModelClock()
    clock.now = 1  # no machine has just started at this moment
    memory = SharedLimits.create(2)
    workers = [SharedLimits.attach(memory.fileno(), slot, clock) for slot in range(2)]
    told = [], []
    shared = ByTurns(
        *(each.breakers(settings, lambda *change: told[0].append(change)) for each in workers)
    )
    alone = Breakers(settings, clock, lambda *change: told[1].append(change))
    in_flight = []
    try:
        for word, *rest in steps:
            if word == "pass":
                clock.now += rest[0]
            elif word == "admit":
                here, there = shared.admit(KEY), alone.admit(KEY)
                if isinstance(there, Rejection):
                    assert here == there
                else:
                    in_flight.append((here, there))
            elif in_flight:
                for admission in in_flight.pop(rest[0] % len(in_flight)):
                    Script.end(admission, word)
            assert shared.states() == alone.states()
    finally:
        for each in workers:
            each.close()
        memory.close()
    assert told[0] == told[1]


def test_a_change_is_told_by_the_worker_that_made_it(attach, clock):
    told = [], []
    one, other = (
        attach(slot).breakers(PLAIN, lambda *c, s=slot: told[s].append(c)) for slot in range(2)
    )
    for _ in range(5):
        one.admit(KEY).failure()
    other.admit(KEY).failure()
    assert told == ([], [(KEY, State.CLOSED, State.OPEN)])
    assert isinstance(one.admit(KEY), Rejection)
    clock.advance(60)
    one.admit(KEY).success()
    assert told[0] == [(KEY, State.OPEN, State.HALF_OPEN), (KEY, State.HALF_OPEN, State.CLOSED)]
    assert isinstance(other.admit(KEY), Admission)
    assert len(told[1]) == 1


def test_a_dead_workers_probes_are_given_back(attach, memory, clock):
    settings = replace(CUSTOM, max_requests=2)
    dead, other = (attach(slot).breakers(settings, lambda *_: None) for slot in range(2))
    for _ in range(3):
        other.admit(KEY).failure()
    clock.advance(90)
    assert isinstance(dead.admit(KEY), Admission)
    mine = other.admit(KEY)
    assert other.admit(KEY) == Rejection(1)
    memory.release_slot(0)
    mine.success()
    other.admit(KEY).success()
    assert other.states() == {KEY: State.CLOSED}


def test_all_know_of_troubles_that_one_had(attach, clock):
    one, other = (attach(slot).breakers(PLAIN, lambda *_: None) for slot in range(2))
    one.admit(KEY).success()
    assert troubles(other) == []
    for _ in range(2):
        one.admit(KEY).failure()
    assert troubles(other) == [Trouble(KEY, State.CLOSED, 2, None)]
    for _ in range(4):
        one.admit(KEY).failure()
    clock.advance(20)
    assert troubles(other) == [Trouble(KEY, State.OPEN, 6, 40)]
    clock.advance(40)
    assert troubles(other) == [Trouble(KEY, State.HALF_OPEN, 6, None)]
    clock.advance(60)
    assert troubles(one) == []


def test_names_that_are_long_are_cut_where_they_are_told(attach):
    breakers = attach(0).breakers(PLAIN, lambda *_: None)
    breakers.admit(KEY._replace(model="é" * 300)).failure()
    (trouble,) = troubles(breakers)
    assert trouble.key.model == "é" * 200
    breakers.admit(
        KEY._replace(model="\N{CJK UNIFIED IDEOGRAPH-6F22}" * 300, provider="ü" * 20)
    ).failure()
    assert len(troubles(breakers)) == 2
    assert all(len("\0".join(each.key).encode()) < CIRCUIT_NAME for each in troubles(breakers))


def test_the_least_recently_used_circuit_is_forgotten(attach, clock, monkeypatch):
    monkeypatch.setattr(
        "aibridged.limits.breakers.key_of",
        lambda key: bytes(4) + key.model[-12:].encode().rjust(12),
    )
    one, other = (attach(slot).breakers(PLAIN, lambda *_: None) for slot in range(2))
    keys = [KEY._replace(model=f"model-{number}") for number in range(WAYS + 1)]
    for key in keys[:-1]:
        for _ in range(6):
            one.admit(key).failure()
        clock.advance(2)
    kept = other.admit(keys[0])  # an open one isn't used by who is rejected
    assert isinstance(kept, Rejection)
    late = one.admit(keys[-1])
    assert isinstance(late, Admission)
    assert set(other.states()) == set(keys[1:])
    assert isinstance(other.admit(keys[0]), Admission), "it begins again, closed"
    assert len(one.states()) == WAYS <= CIRCUITS


def test_the_end_of_a_request_to_a_forgotten_circuit_changes_nothing(attach, clock, monkeypatch):
    monkeypatch.setattr(
        "aibridged.limits.breakers.key_of",
        lambda key: bytes(4) + key.model[-12:].encode().rjust(12),
    )
    breakers = attach(0).breakers(replace(PLAIN, failure_threshold=1), lambda *_: None)
    first = breakers.admit(KEY)
    for number in range(WAYS):
        clock.advance(2)
        breakers.admit(KEY._replace(model=f"model-{number}"))
    first.failure()
    assert set(breakers.states().values()) == {State.CLOSED}
    assert KEY not in breakers.states()


def test_while_the_lock_is_busy_outcomes_are_counted_later(attach, region, clock):
    breakers = attach(0).breakers(CUSTOM, lambda *_: None)
    admitted = [breakers.admit(KEY) for _ in range(4)]
    for number in range(region.layout.locks.count):
        region.locks.take(number)
    for each in admitted[:3]:
        each.failure()
    assert isinstance(breakers.admit(KEY), Admission), "it was closed when it was last seen"
    assert isinstance(breakers.admit(KEY._replace(model="unknown")), Admission)
    for number in range(region.layout.locks.count):
        region.locks.give(number)
    assert isinstance(breakers.admit(KEY), Rejection)
    clock.advance(90)
    for number in range(region.layout.locks.count):
        region.locks.take(number)
    assert breakers.admit(KEY) == Rejection(1), "it admits no probes"
    for number in range(region.layout.locks.count):
        region.locks.give(number)
    assert isinstance(breakers.admit(KEY), Admission)


def test_a_state_that_others_have_found_is_that_of_all(attach, clock):
    told = []
    one, other = (
        attach(slot).breakers(PLAIN, lambda *change: told.append(change)) for slot in range(2)
    )
    one.impose(KEY, State.OPEN, 5)
    other.impose(KEY, State.OPEN, 50)  # it is open already
    assert other.admit(KEY) == Rejection(5)
    clock.advance(5)
    assert isinstance(other.admit(KEY), Admission)
    one.impose(KEY, State.CLOSED)
    assert other.states() == {KEY: State.CLOSED}
    changes = [(State.CLOSED, State.OPEN), (State.OPEN, State.HALF_OPEN)]
    assert told == [(KEY, *each) for each in (*changes, (State.HALF_OPEN, State.CLOSED))]
