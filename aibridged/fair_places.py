"""Waits for a place in a fair queue, with a deadline; see `core.fair_queue` for the order."""

import asyncio
from collections.abc import Callable
from typing import Generic

from aibridged.core.fair_queue import Bounds, FairQueue, K


class FairPlaces(Generic[K]):
    """A fair queue with a deadline of `wait` seconds.

    `on_wait` is called for each waiter, with the number of waiters under its key.
    """

    def __init__(
        self, bounds: Bounds, wait: float, on_wait: Callable[[K, int], None] | None = None
    ) -> None:
        self.wait_s = wait
        self._queue: FairQueue[K, asyncio.Future[None]] = FairQueue(bounds)
        self._on_wait = on_wait

    @property
    def taken(self) -> int:
        """The number of places taken."""
        return self._queue.taken

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return self._queue.waiting

    async def take(self, key: K) -> None:
        """Take a place, to be given back later.

        Raises:
            QueueFullError: the queue is full; a ShareFullError if it is so for this key.
            TimeoutError: no place became free in time.
        """
        if not self._queue.take(key):
            await self._wait(key)

    def give_back(self, key: K) -> None:
        """Pass a place on to the next waiter."""
        while (given := self._queue.give_back(key)) is not None:
            key, waiter = given
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _wait(self, key: K) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.wait(key, waiter)
        if self._on_wait is not None:
            self._on_wait(key, self._queue.waiting_of(key))
        try:
            async with asyncio.timeout(self.wait_s):
                await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give_back(key)  # it was assigned just as we left
            else:
                self._queue.give_up(key, waiter)
            raise
