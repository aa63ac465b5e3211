"""Counts requests in flight, so that a shutdown or a reload can wait for them."""

import asyncio


class Requests:
    """The requests in flight that began under one configuration."""

    __slots__ = ("_idle", "count")

    def __init__(self) -> None:
        self.count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        self.count += 1
        self._idle.clear()

    def leave(self) -> None:
        self.count -= 1
        if self.count == 0:
            self._idle.set()

    async def idle(self) -> None:
        """Return once none is in flight."""
        await self._idle.wait()


class InFlight:
    """All requests in flight, and how far a shutdown has come.

    `draining`: the daemon is shutting down. `cut_off`: requests in flight are aborted.
    """

    def __init__(self) -> None:
        self.draining = False
        self.cut_off = False
        self._generations: list[Requests] = []

    @property
    def count(self) -> int:
        """The number of requests in flight."""
        return sum(generation.count for generation in self._generations)

    def next_generation(self) -> Requests:
        """Start counting the requests of a new configuration separately."""
        latest = self._generations[-1:]
        busy = [each for each in self._generations[:-1] if each.count]
        self._generations = [*busy, *latest, Requests()]
        return self._generations[-1]

    async def earlier_idle(self) -> None:
        """Return once no request is in flight that began before the latest generation."""
        for generation in self._generations[:-1]:
            await generation.idle()

    async def idle(self) -> None:
        """Return once no request is in flight."""
        while self.count:
            for generation in self._generations:
                await generation.idle()
