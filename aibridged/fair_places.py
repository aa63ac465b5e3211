"""Waits for a place in a fair queue, with a deadline; see `core.fair_queue` for the turns."""

import asyncio
from collections.abc import Callable
from typing import Generic

from aibridged.core.fair_queue import Bounds, FairQueue, K


class FairPlaces(Generic[K]):
    """Nobody waits longer than `wait` seconds.

    `on_wait` hears of each that has to, with the number of those that wait under its key.
    """

    def __init__(
        self, bounds: Bounds, wait: float, on_wait: Callable[[K, int], None] | None = None
    ) -> None:
        self.wait_s = wait
        self._queue: FairQueue[K, asyncio.Future[None]] = FairQueue(bounds)
        self._on_wait = on_wait

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._queue.taken

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._queue.waiting

    async def take(self, key: K) -> None:
        """Take a place, which is to be given back.

        Raises:
            QueueFullError: too many wait already; as a ShareFullError, too many of this key.
            TimeoutError: none came free in time.
        """
        if not self._queue.take(key):
            await self._wait(key)

    def give_back(self, key: K) -> None:
        """Hand a place on to the next that still waits for it."""
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
                self.give_back(key)  # it came just as we left
            else:
                self._queue.give_up(key, waiter)
            raise
