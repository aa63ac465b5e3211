"""Starts that wait for an answer, and are refused once they have waited for too long."""

import asyncio
from collections import deque
from collections.abc import Callable

from loguru import logger

from aibridged.clock import Clock
from aibridged.records.jobs import RecordingFailedError, Waiting, settle
from aibridged.records.stats import RecorderStats

STALL_S = 10.7
"""A start that has waited so long is refused: longer than the database may take to say no."""
WATCH_S = 0.25
"""How often that is looked at, while starts wait."""


class StalledStarts:
    """Refuses starts that haven't been settled for `stall` seconds, and all until one is again.

    For the event loop. `who` hasn't answered them. `refused` is called with each start that it
    refuses.
    """

    def __init__(
        self,
        clock: Clock,
        stats: RecorderStats,
        who: str,
        refused: Callable[[Waiting], None] = lambda one: None,
        stall: float = STALL_S,
    ) -> None:
        self._clock = clock
        self._stats = stats
        self._who = who
        self._refused = refused
        self._stall = stall
        self._waiting: deque[tuple[float, Waiting]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, one: Waiting, now: float) -> None:
        """Look after a start that waits from now on."""
        self._waiting.append((now, one))
        if self._timer is None:
            self._look_later()

    def close(self) -> None:
        """Look after none any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WATCH_S, self._look)

    def _look(self) -> None:
        self._timer = None
        waiting, now = self._waiting, self._clock.monotonic()
        while waiting:
            at, one = waiting[0]
            if not one.committed.done():
                if now - at < self._stall:
                    break
                self._refuse(one)
            waiting.popleft()
        if waiting:
            self._look_later()

    def _refuse(self, one: Waiting) -> None:
        if not self._stats.stalled:
            self._stats.stalled = True
            logger.error(
                "{} has not answered for {:g} s: requests are refused until it does",
                self._who,
                self._stall,
            )
        self._stats.starts_refused += 1
        settle([one.committed], RecordingFailedError())
        self._refused(one)
