"""A fair queue for few places (round robin): one caller can't keep the others waiting.

A key stands for a caller: a user, or the address of a client. Keys take turns (round robin), each
lets its own in first come, first served, and one key has at most its share of the places. The room
to wait in is bounded, too.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aibridged.core.shares import Shares

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many may have a place and how many may wait for one, in all and of each key.

    Without `waiting_each` a key's queue may grow while it is shorter than the room that is left
    (the dynamic threshold of Choudhury and Hahne): one key alone takes half of the room, two a
    third each, and there is always some left for another one.
    """

    places: int
    places_each: int
    waiting: int
    waiting_each: int | None = None


class QueueFullError(Exception):
    """As many wait as may, of all keys together."""


class ShareFullError(QueueFullError):
    """As many of this key wait as may; another key finds room."""


class FairQueue(Generic[K, T]):
    """What waits is a value of the caller's, such as a future."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._places = Shares(bounds.places, bounds.places_each)
        self._room_left = bounds.waiting
        # In the order in which they have their turns.
        self._queues: OrderedDict[K, deque[T]] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._places.held

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._bounds.waiting - self._room_left

    def waiting_of(self, key: K) -> int:
        """How many of this key wait."""
        return len(self._queues.get(key, ()))

    def take(self, key: K) -> bool:
        """Take a place, if there is one for this key. Then none of its own waits for one."""
        return self._places.take(key) is None

    def wait(self, key: K, waiter: T) -> None:
        """Queue up for a place, since there is none.

        Raises:
            QueueFullError: too many do; as a ShareFullError, too many of this key.
        """
        each = self._bounds.waiting_each
        if self.waiting_of(key) >= (self._room_left if each is None else each):
            raise ShareFullError
        if not self._room_left:
            raise QueueFullError
        self._room_left -= 1
        self._queues.setdefault(key, deque()).append(waiter)

    def give_up(self, key: K, waiter: T) -> None:
        """Wait no longer; one who has been given a place meanwhile no longer does."""
        queue = self._queues.get(key)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._left(key, queue)

    def give_back(self, key: K) -> tuple[K, T] | None:
        """Give a place back; the next in turn is returned, with its key, and has it from now on."""
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
