"""Limits of persons, whichever workers their requests go to: requests a second, and at once."""

import struct

from aibridged.clock import Clock
from aibridged.core.limiters import share
from aibridged.core.policies import PersonLimits
from aibridged.limits.keys import Keys, digest, lock_of
from aibridged.limits.rates import SharedRateLimiter
from aibridged.limits.region import Region
from aibridged.limits.timed_table import TimedTable
from aibridged.limits.uncounted import Entry, Uncounted

_MOST = 60_000  # of the two bytes that each worker counts with


class SharedPersonLimits(PersonLimits):
    """The limits of persons in one worker, which has the place `slot` among the others.

    Each worker counts its own requests of a person. Where the lock of a person can't be had, half
    of the places are to be had without (`uncounted`); where a stopped worker keeps it, or all
    records that the person may have are taken, each of the others goes by its share of the limit,
    and at least 1.
    """

    def __init__(self, clock: Clock, uncounted: Uncounted, region: Region, slot: int) -> None:
        super().__init__(clock)
        area = region.layout.places
        self._rates = SharedRateLimiter(
            1,
            clock,
            uncounted,
            region,
            TimedTable(region, region.layout.persons),
            purpose=b"person",
        )
        self._bytes, self._shorts, self._locks = region.bytes, region.shorts, region.locks
        self._workers = region.layout.workers
        self._uncounted = uncounted
        self._keys = Keys(region, area.keys)
        self._offset, self._size = area.records.offset, area.records.size
        self._all = struct.Struct(f"{self._workers}H").unpack_from
        self._slot = slot
        self._shared: dict[str, list[int]] = {}  # the index of the own count, and the count

    def __len__(self) -> int:
        return len(self._shared) + super().__len__()

    def admit(self, person: str, rate: int) -> bool:
        self._rates.rate = rate
        return self._rates.admit(person.encode(errors="surrogatepass"))

    def take(self, person: str, most: int) -> bool:
        key = digest(person.encode(errors="surrogatepass"), b"place")
        lock = lock_of(key)
        if not self._locks.take(lock):
            if self._locks.is_stuck(lock):
                return self._take_of_share(person, most)
            return self._take_without(key, person, most)
        try:
            at = self._record(key)
            if at is None:
                return self._take_of_share(person, most)
            own = at // 2 + self._slot
            self._shorts[own] += 1
            taken, most = sum(self._all(self._bytes, at)), min(most, _MOST)
            if taken + taken > most and taken + self._uncounted.of_all(key) > most:
                self._shorts[own] -= 1
                return False
            self._shared.setdefault(person, [own, 0])[1] += 1
            return True
        finally:
            self._locks.give(lock)

    def release(self, person: str) -> None:
        if self._in_flight:
            key = digest(person.encode(errors="surrogatepass"), b"place")
            entry = Entry(self._count, key, (person,))
            if self._uncounted.number(entry):
                self._uncounted.give_back(entry)
                super().release(person)
                return
        held = self._shared.get(person)
        if held is None:
            super().release(person)
            return
        self._shorts[held[0]] -= 1
        held[1] -= 1
        if not held[1]:
            del self._shared[person]

    def _take_without(self, key: bytes, person: str, most: int) -> bool:
        def room() -> float:
            number = self._keys.find(key)
            at = self._offset + number * self._size
            return min(most, _MOST) / 2 - (sum(self._all(self._bytes, at)) if number >= 0 else 0)

        entry = Entry(self._count, key, (person,))
        if not self._uncounted.admit(entry, room):
            return False
        self._in_flight[person] = self._in_flight.get(person, 0) + 1
        return True

    def _count(self, key: bytes, number: int, person: str) -> None:
        """Move places that were taken without the lock to the memory."""
        at = self._record(key)
        if at is None:
            return  # they are of the share now
        own = at // 2 + self._slot
        self._shorts[own] += number
        self._shared.setdefault(person, [own, 0])[1] += number
        for _ in range(number):
            super().release(person)

    def _take_of_share(self, person: str, most: int) -> bool:
        shared = self._shared.get(person, (0, 0))[1]
        left = share(most, self._workers) - shared
        return left > 0 and super().take(person, left)

    def _record(self, key: bytes) -> int | None:
        """Where the counts of a person are; None if there is no room for them."""
        number = self._keys.find(key)
        if number >= 0:
            return self._offset + number * self._size
        for number in self._keys.places(key):
            at = self._offset + number * self._size
            if not any(self._all(self._bytes, at)):
                self._keys.write(number, key)
                return at
        return None


def clear_places(region: Region, slot: int) -> None:
    """Give back what a worker held that is dead."""
    records = region.layout.places.records
    first, step = records.offset // 2, records.size // 2
    counts = region.shorts[first + slot : first + records.count * step : step].tolist()
    for number, count in enumerate(counts):
        if count:
            region.shorts[first + slot + number * step] = 0
