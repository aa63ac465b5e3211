import pytest

from aibridged.limits import uncounted
from aibridged.limits.keys import lock_of
from tests.waiting import until

TOKEN = bytes(range(16))


@pytest.fixture
def of_all(attach):
    """What all workers have still to count of the caller."""
    limiters = attach(2)
    return lambda: limiters._uncounted.of_all(TOKEN)


async def test_it_is_counted_without_another_request(attach, region, of_all, monkeypatch):
    monkeypatch.setattr(uncounted, "COUNT_AFTER_S", 0.001)
    limiters = attach(0)
    region.locks.take(lock_of(TOKEN))
    assert limiters.callers(10).admit(TOKEN)
    assert limiters.callers(10).admit(TOKEN)
    assert of_all() == 2
    first = limiters._uncounted._timer
    await until(lambda: limiters._uncounted._timer is not first)
    assert of_all() == 2, "it was tried in vain"
    region.locks.give(lock_of(TOKEN))
    await until(lambda: not of_all())
    assert sum(attach(1).callers(10).admit(TOKEN) for _ in range(20)) == 8


def test_it_is_counted_by_a_request_of_another_key(attach, region, of_all):
    limiters = attach(0)
    callers, guesses = limiters.callers(10), limiters.guesses(10, 60.0, "page")
    for lock in range(region.layout.locks.count):
        region.locks.take(lock)
    assert callers.admit(TOKEN)
    for lock in range(region.layout.locks.count):
        region.locks.give(lock)
    for number in range(1000):
        guesses.take(b"%d" % number)
        callers.admit(number.to_bytes(15) + TOKEN[-1:])
    assert of_all() == 0


def test_the_number_of_keys_is_bounded(attach, busy, monkeypatch):
    monkeypatch.setattr(uncounted, "MAX_ENTRIES", 20)
    callers = attach(0).callers(1000)
    keys = [number.to_bytes(16) for number in range(30)]
    assert [callers.admit(key) for key in keys] == [True] * 20 + [False] * 10
    assert callers.admit(keys[0])
    guesses = attach(1).guesses(1000, 60.0, "page")
    for key in keys:
        guesses.give_back(key)
    assert not guesses.take(b"another")
