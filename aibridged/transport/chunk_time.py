"""Processing time per chunk, sampled on some upstream connections.

The others are left alone, so that a chunk costs nothing more.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from aibridged.clock import Clock
from aibridged.transport.upstream_connection import UpstreamConnection

EVERY = 8
"""One connection in so many is measured, the first one included."""


class TimedConnection(UpstreamConnection):
    """A connection that calls `observe` with the seconds that each chunk held the loop."""

    def __init__(self, *, clock: Clock, observe: Callable[[float], None], **options: Any) -> None:
        super().__init__(**options)
        self._monotonic = clock.monotonic
        self._observe = observe

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None or response.sink is None:  # a head, or a response that isn't relayed
            super().data_received(data)
            return
        began = self._monotonic()
        super().data_received(data)
        self._observe(self._monotonic() - began)


def timed(clock: Clock, observe: Callable[[float], None]) -> Callable[..., UpstreamConnection]:
    """The connection factory of an `Upstream`, which makes some that measure themselves."""
    numbers = count()

    def make(**options: Any) -> UpstreamConnection:
        if next(numbers) % EVERY:
            return UpstreamConnection(**options)
        return TimedConnection(clock=clock, observe=observe, **options)

    return make
