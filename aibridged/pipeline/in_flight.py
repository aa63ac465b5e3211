"""Counts the requests under way, so that the end can wait for them."""

import asyncio


class InFlight:
    """The requests under way, whether new ones are taken, and whether these are being cut off."""

    def __init__(self) -> None:
        self.draining = False
        self.cut_off = False
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
        """Return once no request is under way."""
        await self._idle.wait()
