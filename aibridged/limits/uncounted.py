"""What was admitted without the lock of its key, and is still to be counted.

A worker that can't have the lock in time goes on where half of the limit has room for all that is
uncounted. How much that is each worker tells the others, by numbers that only it writes; the one
that has the lock adds them up as soon as half of the limit is used. So uncounted requests fill at
most one half unseen, those that were counted the other, and the limit holds for both together.
They are counted by the next request that has the lock, whichever key it is for, or shortly after
without one. What a killed worker had still to count isn't counted: that is in the caller's favour.
"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from aibridged.limits.keys import lock_of
from aibridged.limits.region import UNCOUNTED, Region

COUNT_AFTER_S = 0.02
MAX_ENTRIES = 500
"""Keys that a worker may have still to count; each takes some millionths of a second."""


class Entry(NamedTuple):
    """What to call with the lock of `key`: `add(key, number, *about)`."""

    add: Callable[..., None]
    key: bytes
    about: tuple[int | str, ...] = ()


class Uncounted:
    """What one worker, which has the place `slot` among the others, has still to count."""

    def __init__(self, region: Region, slot: int) -> None:
        self._bytes, self._words, self._locks = region.bytes, region.words, region.locks
        area = region.layout.uncounted
        self._offset, self._size = area.offset, area.size
        self._slot = slot
        self._all = struct.Struct(f"{region.layout.workers}Q").unpack_from
        self._entries: defaultdict[int, dict[Entry, int]] = defaultdict(dict)
        self._timer: asyncio.TimerHandle | None = None
        self._barrier = Lock()  # as in `slots`
        self._barrier.acquire()
        self._locks.when_had_again = self._count

    def close(self) -> None:
        """Count nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def of_all(self, key: bytes) -> int:
        """What all workers have still to count of a key, and of few others."""
        return sum(self._all(self._bytes, self._row(key)))

    def admit(self, entry: Entry, room: Callable[[], float]) -> bool:
        """Admit one more without the lock, if `room`, what is left of half of the limit, allows for
        all that is uncounted."""
        if not self._has_place(entry):
            return False
        own = self._own(entry.key)
        self._words[own] += 1
        self._barrier.release()
        self._barrier.acquire()
        if self.of_all(entry.key) > room():
            self._words[own] -= 1
            return False
        self._change(entry, 1)
        return True

    def give_back(self, entry: Entry) -> None:
        """Count one fewer."""
        if not self._has_place(entry):
            return
        if self.number(entry) > 0:
            self._words[self._own(entry.key)] -= 1
        self._change(entry, -1)

    def number(self, entry: Entry) -> int:
        """How many this worker has still to count; below 0: to give back."""
        return self._entries[lock_of(entry.key)].get(entry, 0)

    def _has_place(self, entry: Entry) -> bool:
        if self.number(entry):
            return True
        return sum(map(len, self._entries.values())) < MAX_ENTRIES

    def _change(self, entry: Entry, by: int) -> None:
        entries, number = self._entries[lock_of(entry.key)], self.number(entry) + by
        if number:
            entries[entry] = number
        else:
            del entries[entry]
        self._count_soon()

    def _count(self, lock: int) -> None:
        """Count what can be, now that this lock is had."""
        entries = self._entries.get(lock)
        while entries:
            entry, number = entries.popitem()
            entry.add(entry.key, number, *entry.about)
            if number > 0:
                self._words[self._own(entry.key)] -= number

    def _count_soon(self) -> None:
        if self._timer is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the next request will
        self._timer = loop.call_later(COUNT_AFTER_S, self._count_all)

    def _count_all(self) -> None:
        self._timer = None
        left = [lock for lock, entries in self._entries.items() if entries]
        for lock in left:
            if self._locks.take_if_free(lock):
                self._locks.give(lock)
        if any(self._entries[lock] for lock in left):
            self._count_soon()

    def _row(self, key: bytes) -> int:
        return self._offset + int.from_bytes(key[-2:], "big") % UNCOUNTED * self._size

    def _own(self, key: bytes) -> int:
        return self._row(key) // 8 + self._slot


def clear_uncounted(region: Region, slot: int) -> None:
    """Forget what a worker had still to count that is dead."""
    area = region.layout.uncounted
    first, step = area.offset // 8 + slot, area.size // 8
    counts = region.words[first : first + area.count * step : step].tolist()
    for number, count in enumerate(counts):
        if count:
            region.words[first + number * step] = 0
