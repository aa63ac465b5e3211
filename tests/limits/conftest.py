"""Several workers' sides of one memory, in one process, by a clock that they share."""

from collections.abc import Callable, Iterator

import pytest

from aibridged.limits import robust_locks
from aibridged.limits.region import Region
from aibridged.limits.shared import SharedLimiters, SharedLimits

WORKERS = 3


@pytest.fixture
def memory() -> Iterator[SharedLimits]:
    made = SharedLimits.create(WORKERS)
    yield made
    made.close()


@pytest.fixture
def region(memory) -> Region:
    return memory._region


@pytest.fixture
def attach(memory, clock) -> Iterator[Callable[[int], SharedLimiters]]:
    """The side of the worker with this slot."""
    attached: list[SharedLimiters] = []

    def one(slot: int) -> SharedLimiters:
        attached.append(SharedLimits.attach(memory.fileno(), slot, clock))
        return attached[-1]

    yield one
    for each in attached:
        each.close()


@pytest.fixture
def busy(region, monkeypatch) -> Iterator[None]:
    """All locks are held by a worker that has no processor."""
    monkeypatch.setattr(robust_locks, "WAIT_S", 0.0002)
    for number in range(region.layout.locks.count):
        assert region.locks.take(number)
    yield
    for number in range(region.layout.locks.count):
        region.locks.give(number)


@pytest.fixture
def stopped(region, monkeypatch) -> Iterator[None]:
    """All locks are held by a worker that was stopped."""
    monkeypatch.setattr(robust_locks, "WAIT_S", 0.0002)
    monkeypatch.setattr(robust_locks, "STUCK_S", 0.0)
    for number in range(region.layout.locks.count):
        assert region.locks.take(number)
    yield
    for number in range(region.layout.locks.count):
        region.locks.give(number)
