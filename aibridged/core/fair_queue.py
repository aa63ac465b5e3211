"""A fair queue for few places (round robin): one caller can't keep the others waiting.

A key stands for a caller: a user, or the address of a client. Keys take turns (round robin), each
in first-come, first-served order, and one key has at most its share of the places. The queue is
bounded, too.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec

from aibridged.core.shares import Shares

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Bounds(msgspec.Struct, frozen=True):
    """How many may have a place and how many may wait for one, in total and per key.

    Without `waiting_each` a key's queue may grow while it is shorter than the space that is left
    (the dynamic threshold of Choudhury and Hahne): one key alone takes half of the space, two a
    third each, and there is always some left for another one.
    """

    places: int
    places_each: int
    waiting: int
    waiting_each: int | None = None


class QueueFullError(Exception):
    """The queue is full, over all keys."""


class ShareFullError(QueueFullError):
    """The queue is full for this key; another key has space."""


class FairQueue(Generic[K, T]):
    """A queue of the caller's values, such as futures."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._places = Shares(bounds.places, bounds.places_each)
        self._room_left = bounds.waiting
        # In the order of their turns.
        self._queues: OrderedDict[K, deque[T]] = OrderedDict()

    @property
    def taken(self) -> int:
        """The number of places taken."""
        return self._places.held

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return self._bounds.waiting - self._room_left

    def waiting_of(self, key: K) -> int:
        """The number of this key's waiters."""
        return len(self._queues.get(key, ()))

    def take(self, key: K) -> bool:
        """Take a place, if one is free for this key; it never is while the key has waiters."""
        return self._places.take(key) is None

    def wait(self, key: K, waiter: T) -> None:
        """Queue up for a place.

        Raises:
            QueueFullError: the queue is full; a ShareFullError if it is so for this key.
        """
        each = self._bounds.waiting_each
        if self.waiting_of(key) >= (self._room_left if each is None else each):
            raise ShareFullError
        if not self._room_left:
            raise QueueFullError
        self._room_left -= 1
        self._queues.setdefault(key, deque()).append(waiter)

    def give_up(self, key: K, waiter: T) -> None:
        """Leave the queue; or give back a place that has been assigned meanwhile."""
        queue = self._queues.get(key)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._left(key, queue)

    def give_back(self, key: K) -> tuple[K, T] | None:
        """Give a place back; returns the next waiter and its key, who has the place from now on."""
        self._places.release(key)
        for next_key, queue in self._queues.items():
            if self.take(next_key):
                waiter = queue.popleft()
                self._queues.move_to_end(next_key)
                self._left(next_key, queue)
                return next_key, waiter
        return None

    def _left(self, key: K, queue: deque[T]) -> None:
        self._room_left += 1
        if not queue:
            del self._queues[key]
