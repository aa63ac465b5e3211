from aibridged.limits import robust_locks
from aibridged.limits.region import Region
from tests.own_time import OwnTime


def test_a_lock_is_had_by_one_at_a_time(memory, region, monkeypatch):
    monkeypatch.setattr(robust_locks, "WAIT_S", 0.0)
    other = Region(memory.fileno())
    assert region.locks.take(3)
    assert not other.locks.take(3)
    assert other.locks.take(4)
    region.locks.give(3)
    assert other.locks.take(3)
    other.locks.give(3)
    other.locks.give(4)
    other.close()


def test_a_lock_that_is_busy_is_waited_for_once_in_a_while(region, monkeypatch):
    monkeypatch.setattr(robust_locks, "WAIT_S", 0.02)
    locks = region.locks
    assert locks.take(0)
    spent = OwnTime()
    assert not any(locks.take(0) for _ in range(50))
    assert spent.elapsed() < 0.2
    assert not locks.is_stuck(0)
    locks.give(0)
    assert locks.take(0)
    locks.give(0)


def test_a_lock_is_stuck_until_it_is_to_be_had_again(region, monkeypatch):
    monkeypatch.setattr(robust_locks, "WAIT_S", 0.0002)
    monkeypatch.setattr(robust_locks, "PAUSE_S", 0.0)
    monkeypatch.setattr(robust_locks, "STUCK_S", 3600)
    locks = region.locks
    assert locks.take(0)
    assert not locks.take(0)
    assert not locks.is_stuck(0)
    monkeypatch.setattr(robust_locks, "STUCK_S", 0.0)
    assert not locks.take(0)
    assert locks.is_stuck(0)
    assert not locks.is_stuck(1)
    locks.give(0)
    assert locks.take(0)
    assert not locks.is_stuck(0)
    locks.give(0)
