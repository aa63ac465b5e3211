"""Slots of all workers: each counts its own, and takes one where the sum allows for it.

A worker writes its own count first and adds up then, so that of several at the limit none can miss
another: without a lock, there are never more than the limit. Two that want the last slot at the
same moment both see too many; they take their counts back, and try again while a slot is free.
"""

import struct
from threading import Lock

from aibridged.core.concurrency import Slots
from aibridged.limits.region import Region

TRIES = 5


class SharedSlots(Slots):
    """The slots of one worker, which has the place `slot` among the others."""

    def __init__(self, limit: int, region: Region, slot: int) -> None:
        super().__init__(limit)
        self._bytes, self._words = region.bytes, region.words
        area = region.layout.slots
        self._offset = area.offset
        self._own = area.offset // area.size + slot
        # A release and an acquire are a full barrier, on every processor: the others see the own
        # count before theirs are read.
        self._barrier = Lock()
        self._barrier.acquire()
        self._all = struct.Struct(f"{area.count}Q").unpack_from

    @property
    def in_use(self) -> int:
        """The number of slots taken, by all workers."""
        return sum(self._all(self._bytes, self._offset))

    def take(self, limit: int | None = None) -> bool:
        words, own = self._words, self._own
        most = self.limit if limit is None else limit
        words[own] += 1
        if not most:
            return True
        for _ in range(TRIES):
            self._barrier.release()
            self._barrier.acquire()
            if sum(self._all(self._bytes, self._offset)) <= most:
                return True
            words[own] -= 1
            if self.in_use >= most:
                return False
            words[own] += 1
        words[own] -= 1
        return False

    def release(self) -> None:
        self._words[self._own] -= 1


def clear_slots(region: Region, slot: int) -> None:
    """Give back what a worker held that is dead."""
    area = region.layout.slots
    region.words[area.offset // area.size + slot] = 0
