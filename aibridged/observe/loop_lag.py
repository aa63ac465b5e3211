"""Event loop lag: how late callbacks run while the loop is busy."""

import asyncio
from collections.abc import Callable

from aibridged.clock import Clock

INTERVAL_S = 0.25


class LoopLag:
    """Measures the lag four times a second, from its creation until `stop`."""

    def __init__(self, clock: Clock, observe: Callable[[float], None]) -> None:
        self._monotonic = clock.monotonic
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._due = self._monotonic()
        self._timer: asyncio.Handle = self._loop.call_soon(self._look)

    def stop(self) -> None:
        """Stop measuring."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._monotonic()
        self._observe(max(0.0, now - self._due))
        self._due = now + INTERVAL_S
        self._timer = self._loop.call_later(INTERVAL_S, self._look)
