"""A fair queue (round robin by address): one address can't starve the others.

Addresses take turns (round robin), each lets its own in first come, first served, and one address
has at most half of the places. The room to wait in is bounded, too: a queue may only grow while it
is shorter than the room that is left (the dynamic threshold of Choudhury and Hahne). So one address
alone takes half of the room, two a third each, and there is always some left for another one.
"""

from collections import Counter, OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """`places` are shared by all addresses, and at most `room` may wait for one.

    What waits is a value of the caller's, such as a future.
    """

    def __init__(self, places: int, room: int) -> None:
        self._free = places
        self._share = max(1, places // 2)
        self._room_left = room
        self._taken: Counter[bytes] = Counter()
        # In the order in which they have their turns.
        self._queues: OrderedDict[bytes, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._queues.values()))

    def waiting(self, address: bytes) -> int:
        """How many of this address wait."""
        return len(self._queues.get(address, ()))

    def take(self, address: bytes) -> bool:
        """Take a place, if there is one for this address. Then none of its own waits for one."""
        if not self._free or self._taken[address] >= self._share:
            return False
        self._free -= 1
        self._taken[address] += 1
        return True

    def wait(self, address: bytes, waiter: T) -> bool:
        """Queue up for a place; false where there is no room."""
        if self.waiting(address) >= self._room_left:
            return False
        self._room_left -= 1
        self._queues.setdefault(address, deque()).append(waiter)
        return True

    def leave(self, address: bytes, waiter: T) -> None:
        """Wait no longer; one who has been given a place meanwhile no longer does."""
        queue = self._queues.get(address)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._left(address, queue)

    def give_back(self, address: bytes) -> tuple[bytes, T] | None:
        """Give a place back: whoever is returned, with their address, has it from now on."""
        self._free += 1
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]
        for next_address, queue in self._queues.items():
            if self.take(next_address):
                waiter = queue.popleft()
                self._queues.move_to_end(next_address)
                self._left(next_address, queue)
                return next_address, waiter
        return None

    def _left(self, address: bytes, queue: deque[T]) -> None:
        self._room_left += 1
        if not queue:
            del self._queues[address]
