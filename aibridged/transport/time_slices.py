"""Cooperative scheduling: long computations on the event loop in time slices (round robin).

A computation is a generator that yields every fraction of a millisecond (see `wire.outline.Steps`).
What takes longer than a slice waits for the next one, and between two slices the loop serves
everything else that is due. Callers take turns: one computation of each at a time, so that many
computations of one caller don't hold up another's.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from aibridged.clock import Clock

T = TypeVar("T")

TURN_S = 0.001
"""Seconds of work per turn of the event loop."""
SLICE_S = 0.002
"""Seconds that a computation holds the loop at a time."""
AT_ONCE_S = 0.0005
"""Seconds of work that may run at once, without waiting for a turn."""
REST_S = 0.001
"""Seconds that the loop is left alone after a slice, so that threads get the interpreter, too."""


class Turns:
    """Gives work its turns of the event loop: `TURN_S` seconds each, whatever its origin."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_running = False
        self._is_over = False

    def call(self, work: Callable[[], None]) -> None:
        """Call `work`, which should take less than a turn, after the work in the queue."""
        self._waiting.append(work)
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_soon(self._run)

    async def turn(self) -> None:
        """Return in a turn of one's own."""
        begun = asyncio.get_running_loop().create_future()
        self.call(partial(self._give_to, begun))
        await begun

    def _give_to(self, begun: asyncio.Future[None]) -> None:
        if not begun.done():
            begun.set_result(None)
            self._is_over = True

    def _run(self) -> None:
        self._is_over = False
        until = self._monotonic() + TURN_S
        try:
            while self._waiting and not self._is_over:
                self._waiting.popleft()()
                self._is_over = self._is_over or self._monotonic() >= until
        finally:
            self._is_running = bool(self._waiting)
            if self._is_running:
                asyncio.get_running_loop().call_soon(self._run)


class TimeSlices:
    """Shares the event loop between computations."""

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._turns = turns
        self._slice = asyncio.Lock()
        self._callers: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    async def run(self, steps: Generator[None, None, T], caller: Hashable) -> T:
        """Run the computation; returns its result, or raises its error."""
        try:
            result = self._advance(steps, AT_ONCE_S)
            if result is None:
                async with self._turn_of(caller):
                    while result is None:
                        # A lock is fair: the next slice of a computation comes after the others'.
                        async with self._slice:
                            await self._turns.turn()
                            result = self._advance(steps, SLICE_S)
                            await asyncio.sleep(REST_S)
            return result[0]
        finally:
            steps.close()

    def _advance(self, steps: Generator[None, None, T], seconds: float) -> tuple[T] | None:
        """Compute for so long; the result if the computation has ended."""
        ends = self._monotonic() + seconds
        try:
            while self._monotonic() < ends:
                next(steps)
        except StopIteration as end:
            return (end.value,)
        return None

    @asynccontextmanager
    async def _turn_of(self, caller: Hashable) -> AsyncIterator[None]:
        """A lock that one computation of the caller's holds at a time."""
        turn, waiting = self._callers.get(caller) or (asyncio.Lock(), 0)
        self._callers[caller] = turn, waiting + 1
        try:
            async with turn:
                yield
        finally:
            waiting = self._callers[caller][1] - 1
            if waiting:
                self._callers[caller] = turn, waiting
            else:
                del self._callers[caller]
