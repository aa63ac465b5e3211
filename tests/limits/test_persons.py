import pytest

from aibridged.limits import keys, robust_locks
from aibridged.limits.persons import SharedPersonLimits
from aibridged.limits.region import WAYS


def test_a_person_has_one_rate_over_all_workers(attach):
    one, other = (attach(slot).person_limits() for slot in range(2))
    assert [each.admit("ann", 3) for each in (one, other) * 3] == [True] * 3 + [False] * 3
    assert one.admit("bob", 3)


def test_a_person_has_so_many_places_over_all_workers(attach):
    one, other = (attach(slot).person_limits() for slot in range(2))
    assert [each.take("ann", 3) for each in (one, other) * 2] == [True, True, True, False]
    assert one.take("bob", 1)
    assert len(one) == 2
    other.release("ann")
    assert one.take("ann", 3)
    assert not other.take("ann", 3)
    for _ in range(3):
        one.release("ann")
    assert [other.take("ann", 3) for _ in range(4)] == [True, True, True, False]


def test_a_dead_workers_places_are_given_back(attach, memory):
    dead, other = attach(0).person_limits(), attach(1).person_limits()
    assert dead.take("ann", 2)
    assert other.take("ann", 2)
    memory.release_slot(0)
    assert other.take("ann", 2)
    assert not other.take("ann", 2)


def test_while_the_lock_of_a_person_is_busy_half_is_to_be_had(attach, busy):
    limits = attach(0).person_limits()
    assert [limits.take("ann", 6) for _ in range(4)] == [True] * 3 + [False]
    assert [limits.admit("ann", 6) for _ in range(4)] == [True] * 3 + [False]
    assert not limits.take("bob", 1)
    limits.release("ann")
    assert [limits.take("ann", 6) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("released_before", [True, False])
def test_places_that_were_taken_without_the_lock_are_counted_and_given_back(
    attach, region, released_before
):
    one, other = (attach(slot).person_limits() for slot in range(2))
    assert one.take("ann", 6)
    lock = keys.lock_of(keys.digest(b"ann", b"place"))
    region.locks.take(lock)
    assert [each.take("ann", 6) for each in (one, other, one)] == [True, True, False]
    if released_before:
        one.release("ann")
        assert one.take("ann", 6)
    region.locks.give(lock)
    assert [other.take("ann", 6) for _ in range(4)] == [True] * 3 + [False]
    assert not one.take("ann", 6)
    for limits, held in ((one, 2), (other, 4)):
        for _ in range(held):
            limits.release("ann")
        assert len(limits) == 0
    assert [one.take("ann", 6) for _ in range(7)] == [True] * 6 + [False]


def test_each_goes_by_its_share_where_a_stopped_worker_has_the_lock(attach, region, monkeypatch):
    monkeypatch.setattr(robust_locks, "STUCK_S", 0.0)
    one, other = attach(0).person_limits(), attach(1).person_limits()
    assert one.take("ann", 6)
    lock = keys.lock_of(keys.digest(b"ann", b"place"))
    region.locks.take(lock)
    assert [one.take("ann", 6) for _ in range(3)] == [True, False, False]
    assert [other.take("ann", 6) for _ in range(3)] == [True, True, False]
    assert attach(2).person_limits().take("ann", 1), "at least one"
    region.locks.give(lock)
    for limits, held in ((one, 2), (other, 2)):
        for _ in range(held):
            limits.release("ann")
        assert len(limits) == 0


def test_each_goes_by_its_share_where_there_is_no_room(attach, region, clock, monkeypatch):
    """Persons that have all places of another: no one can choose the digest of an id."""
    limits = attach(0).person_limits()
    assert isinstance(limits, SharedPersonLimits)
    monkeypatch.setattr("aibridged.limits.persons.digest", _all_at_the_same_places)
    for number in range(WAYS):
        assert [limits.take(f"person {number}", 2) for _ in range(3)] == [True, True, False]
    assert [limits.take("ann", 6) for _ in range(3)] == [True, True, False]
    limits.release("person 0")
    limits.release("person 0")
    assert attach(1).person_limits().take("bob", 6)


def _all_at_the_same_places(key, purpose):
    return bytes(4) + keys.digest(key, purpose)[4:]
