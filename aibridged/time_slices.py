"""Cooperative scheduling: long computations on the event loop, in slices between its other work.

A computation is a generator that yields every fraction of a millisecond (see `wire.outline.Steps`).
What takes longer than a slice waits for the next one, and between two slices the loop serves
everything else that is due. Callers take turns: one computation of each at a time, so that many of
one caller's don't hold up another's.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Hashable
from contextlib import asynccontextmanager
from typing import TypeVar

from aibridged.clock import Clock

T = TypeVar("T")

SLICE_S = 0.002
"""How long a computation keeps the loop at a time, in seconds."""
AT_ONCE_S = 0.0005
"""What takes no longer waits for nothing."""


class TimeSlices:
    """Shares the loop between computations; all of it belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._slice = asyncio.Lock()
        self._turns: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    async def run(self, steps: Generator[None, None, T], caller: Hashable) -> T:
        """The result of the computation, or what it raises."""
        try:
            result = self._advance(steps, AT_ONCE_S)
            if result is None:
                async with self._turn_of(caller):
                    while result is None:
                        # A lock is fair: a slice that is asked for again comes after the others.
                        async with self._slice:
                            await asyncio.sleep(0)
                            result = self._advance(steps, SLICE_S)
            return result[0]
        finally:
            steps.close()

    def _advance(self, steps: Generator[None, None, T], seconds: float) -> tuple[T] | None:
        """Compute for so long; the result if the computation has come to its end."""
        ends = self._monotonic() + seconds
        try:
            while self._monotonic() < ends:
                next(steps)
        except StopIteration as end:
            return (end.value,)
        return None

    @asynccontextmanager
    async def _turn_of(self, caller: Hashable) -> AsyncIterator[None]:
        """Held by one computation of the caller's at a time."""
        turn, waiting = self._turns.get(caller) or (asyncio.Lock(), 0)
        self._turns[caller] = turn, waiting + 1
        try:
            async with turn:
                yield
        finally:
            waiting = self._turns[caller][1] - 1
            if waiting:
                self._turns[caller] = turn, waiting
            else:
                del self._turns[caller]
