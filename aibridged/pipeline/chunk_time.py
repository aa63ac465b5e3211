"""How long the gateway is busy with a chunk, measured on some connections to a provider.

The others aren't touched, so that it costs a chunk nothing.
"""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, cast

import aiohttp

from aibridged.clock import Clock
from aibridged.pipeline.upstream import UpstreamConnection

EVERY = 8
"""One connection of so many is measured, the first of them all included."""


class TimedConnection(UpstreamConnection):
    """A connection that tells `observe` for how many seconds it held the loop with each chunk."""

    def __init__(self, *, clock: Clock, observe: Callable[[float], None], **options: Any) -> None:
        super().__init__(**options)
        self._monotonic = clock.monotonic
        self._observe = observe

    def data_received(self, data: bytes) -> None:
        if self.on_progress is None:  # nothing is relayed: a head, or an answer that nobody reads
            super().data_received(data)
            return
        began = self._monotonic()
        super().data_received(data)
        self._observe(self._monotonic() - began)


def time_chunks(
    session: aiohttp.ClientSession, clock: Clock, observe: Callable[[float], None]
) -> None:
    """Let some connections that `session` will make measure themselves."""
    # aiohttp has no public way to name the protocol (see `upstream`).
    connector = cast(Any, session.connector)
    plain: Callable[[], UpstreamConnection] = connector._factory
    timed = partial(TimedConnection, clock=clock, observe=observe, loop=connector._loop)
    numbers = count()

    def make() -> UpstreamConnection:
        return plain() if next(numbers) % EVERY else timed()

    connector._factory = make
