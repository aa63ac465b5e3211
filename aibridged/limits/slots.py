"""Slots of all workers: each counts its own, and takes one where the sum allows for it.

A worker writes its own count first and adds up then, so that of several at the limit none can miss
another: there are never more than the limit, with the lock or, where it can't be had, without. The
lock makes them take turns: without it two that want the last slot may both be refused.
"""

import struct
from threading import Lock

from aibridged.core.concurrency import Slots
from aibridged.limits.region import SLOTS_LOCK, Region


class SharedSlots(Slots):
    """The slots of one worker, which has the place `slot` among the others."""

    def __init__(self, limit: int, region: Region, slot: int) -> None:
        super().__init__(limit)
        self._locks = region.locks
        self._bytes, self._words = region.bytes, region.words
        area = region.layout.slots
        self._offset = area.offset
        self._own = area.offset // area.size + slot
        # A release and an acquire are a full barrier, on every processor: the others see the own
        # count before theirs are read. The lock above is none for one who hasn't got it.
        self._barrier = Lock()
        self._barrier.acquire()
        self._all = struct.Struct(f"{area.count}Q").unpack_from

    @property
    def in_use(self) -> int:
        """The number of slots taken, by all workers."""
        return sum(self._all(self._bytes, self._offset))

    def take(self) -> bool:
        words, own = self._words, self._own
        if not self.limit:
            words[own] += 1
            return True
        is_locked = self._locks.take(SLOTS_LOCK)
        try:
            words[own] += 1
            self._barrier.release()
            self._barrier.acquire()
            if sum(self._all(self._bytes, self._offset)) <= self.limit:
                return True
            words[own] -= 1
            return False
        finally:
            if is_locked:
                self._locks.give(SLOTS_LOCK)

    def release(self) -> None:
        self._words[self._own] -= 1


def clear_slots(region: Region, slot: int) -> None:
    """Give back what a worker held that is dead."""
    area = region.layout.slots
    region.words[area.offset // area.size + slot] = 0
