"""Processing time per chunk, sampled on some upstream connections.

The others aren't touched, so that it costs a chunk nothing.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from aibridged.clock import Clock
from aibridged.transport.upstream_connection import UpstreamConnection

EVERY = 8
"""One connection of so many is measured, the first of them all included."""


class TimedConnection(UpstreamConnection):
    """A connection that tells `observe` for how many seconds it held the loop with each chunk."""

    def __init__(self, *, clock: Clock, observe: Callable[[float], None], **options: Any) -> None:
        super().__init__(**options)
        self._monotonic = clock.monotonic
        self._observe = observe

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None or response.sink is None:  # a head, or an answer that isn't relayed
            super().data_received(data)
            return
        began = self._monotonic()
        super().data_received(data)
        self._observe(self._monotonic() - began)


def timed(clock: Clock, observe: Callable[[float], None]) -> Callable[..., UpstreamConnection]:
    """What makes the connections of an `Upstream`, some of which measure themselves."""
    numbers = count()

    def make(**options: Any) -> UpstreamConnection:
        if next(numbers) % EVERY:
            return UpstreamConnection(**options)
        return TimedConnection(clock=clock, observe=observe, **options)

    return make
