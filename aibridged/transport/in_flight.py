"""Counts requests in flight, so that a shutdown or a reload can wait for them."""

import asyncio


class Requests:
    """The requests under way that began under one configuration."""

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
        """Return once none is under way."""
        await self._idle.wait()


class InFlight:
    """All requests under way, and how far the end of them all has come.

    `draining`: the daemon is leaving. `refusing`: no new request is taken. `cut_off`: those under
    way are ended.
    """

    def __init__(self) -> None:
        self.draining = False
        self.refusing = False
        self.cut_off = False
        self._generations: list[Requests] = []

    @property
    def count(self) -> int:
        """How many requests are under way."""
        return sum(generation.count for generation in self._generations)

    def next_generation(self) -> Requests:
        """Count the requests of another configuration apart from those before it."""
        latest = self._generations[-1:]
        busy = [each for each in self._generations[:-1] if each.count]
        self._generations = [*busy, *latest, Requests()]
        return self._generations[-1]

    async def earlier_idle(self) -> None:
        """Return once no request is under way that began before the latest generation."""
        for generation in self._generations[:-1]:
            await generation.idle()

    async def idle(self) -> None:
        """Return once no request is under way."""
        while self.count:
            for generation in self._generations:
                await generation.idle()
