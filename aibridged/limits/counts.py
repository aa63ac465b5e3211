"""Limits on guesses, and values that expire, for all workers together."""

from aibridged.clock import Clock
from aibridged.core.guesses import Guesses
from aibridged.limits.keys import digest, lock_of
from aibridged.limits.region import Region
from aibridged.limits.timed_table import TimedTable


class SharedGuesses(Guesses):
    """Guesses that are counted over all workers.

    Where the lock of a key can't be had, its guesses are refused: that fails closed.
    """

    def __init__(
        self,
        most: int,
        period_s: float,
        clock: Clock,
        region: Region,
        counts: TimedTable,
        purpose: bytes,
    ) -> None:
        super().__init__(most, period_s, clock)
        self._now = clock.monotonic
        self._locks = region.locks
        self._table = counts
        self._purpose = purpose

    def __len__(self) -> int:
        return len(self._table)

    def take(self, key: bytes) -> bool:
        key = digest(key, self._purpose)
        lock = lock_of(key)
        if not self._locks.take(lock):
            return False
        try:
            table, now = self._table, self._now()
            index = table.index(key)
            if index < 0:
                index = table.claim(key)
            times = table.times
            if times[index] <= now:
                times[index + 1] = 0.0
                times[index] = now + self.period_s
            if times[index + 1] >= self._most:
                return False
            times[index + 1] += 1
            return True
        finally:
            self._locks.give(lock)

    def give_back(self, key: bytes) -> None:
        key = digest(key, self._purpose)
        lock = lock_of(key)
        if not self._locks.take(lock):
            return
        try:
            index, times = self._table.index(key), self._table.times
            if index >= 0 and times[index] > self._now() and times[index + 1] > 0:
                times[index + 1] -= 1
        finally:
            self._locks.give(lock)


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
