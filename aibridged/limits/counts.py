"""Limits on guesses, and values that expire, for all workers together."""

from aibridged.clock import Clock
from aibridged.core.guesses import Guesses
from aibridged.limits.keys import digest, lock_of
from aibridged.limits.region import Region
from aibridged.limits.timed_table import TimedTable
from aibridged.limits.uncounted import Entry, Uncounted


class SharedGuesses(Guesses):
    """Guesses that are counted over all workers.

    Where the lock of a key can't be had, half of them are to be had without (`uncounted`).
    """

    def __init__(
        self,
        most: int,
        period_s: float,
        clock: Clock,
        uncounted: Uncounted,
        region: Region,
        counts: TimedTable,
        purpose: bytes,
    ) -> None:
        super().__init__(most, period_s, clock)
        self._now = clock.monotonic
        self._locks = region.locks
        self._uncounted = uncounted
        self._table = counts
        self._purpose = purpose
        self._half = most / 2

    def __len__(self) -> int:
        return len(self._table)

    def take(self, key: bytes) -> bool:
        key = digest(key, self._purpose)
        lock = lock_of(key)
        if not self._locks.take(lock):
            entry = Entry(self._count, key)
            return not self._locks.is_stuck(lock) and self._uncounted.admit(
                entry, lambda: self._half - self._counted(key)
            )
        try:
            index, times = self._current(key), self._table.times
            count = times[index + 1] + 1
            if count > self._half and count + self._uncounted.of_all(key) > self._most:
                return False
            times[index + 1] = count
            return True
        finally:
            self._locks.give(lock)

    def give_back(self, key: bytes) -> None:
        key = digest(key, self._purpose)
        lock = lock_of(key)
        if not self._locks.take(lock):
            self._uncounted.give_back(Entry(self._count, key))
            return
        try:
            self._forget(key, 1)
        finally:
            self._locks.give(lock)

    def _counted(self, key: bytes) -> float:
        until, count = self._table.peek(key)
        return count if until > self._now() else 0.0

    def _count(self, key: bytes, number: int) -> None:
        if number > 0:
            self._table.times[self._current(key) + 1] += number
        else:
            self._forget(key, -number)

    def _forget(self, key: bytes, number: int) -> None:
        index, times = self._table.index(key), self._table.times
        if index >= 0 and times[index] > self._now():
            times[index + 1] = max(0.0, times[index + 1] - number)

    def _current(self, key: bytes) -> int:
        """The index of a key's record, which begins a period if none runs."""
        table, now = self._table, self._now()
        index = table.index(key)
        if index < 0:
            index = table.claim(key)
        if table.times[index] <= now:
            table.times[index + 1] = 0.0
            table.times[index] = now + self.period_s
        return index


class SharedValues:
    """Numbers by key that expire, as `core.expiring.Kept` has them.

    Where the lock of a key can't be had, nothing new is kept for it.
    """

    def __init__(self, clock: Clock, region: Region, values: TimedTable, purpose: bytes) -> None:
        self._now = clock.monotonic
        self._locks = region.locks
        self._table = values
        self._purpose = purpose

    def __len__(self) -> int:
        return len(self._table)

    def put(self, key: bytes, value: float, seconds: float) -> None:
        """Keep a value for so long; 0 keeps nothing."""
        key = digest(key, self._purpose)
        lock = lock_of(key)
        if not self._locks.take(lock):
            return
        try:
            index = self._table.index(key)
            if index < 0:
                index = self._table.claim(key)
            self._table.times[index + 1] = value
            self._table.times[index] = self._now() + seconds if seconds > 0 else 0.0
        finally:
            self._locks.give(lock)

    def get(self, key: bytes) -> float | None:
        """The value, or None if it is missing or expired; without the lock."""
        key = digest(key, self._purpose)
        index = self._table.index(key)
        if index < 0:
            return None
        until, value = self._table.times[index], self._table.times[index + 1]
        # Read before another key had the record: its value is written after its key.
        if self._table.index(key) != index or self._now() >= until:
            return None
        return value
