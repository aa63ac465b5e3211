"""Retention: prunes old interceptions with all their rows, in small batches."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from loguru import logger

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.records.jobs import Prune, RecordingFailedError
from aibridged.records.pacing import Pace
from aibridged.records.store import DatabaseAwayError, Store

INTERVAL_S = 3600.0


async def keep_pruning(
    ask: Callable[[datetime], Awaitable[int]],
    clock: Clock,
    retention: timedelta,
    *,
    what: str = "interception",
    interval: float = INTERVAL_S,
) -> None:
    """Delete what is older than `retention`, now and every `interval` seconds, until cancelled.

    `ask` does it, and returns how many rows of `what` it deleted. For interceptions that is the
    recorder's `prune`: its writer does it, between its other work, and open ones are kept.
    """
    while True:
        try:
            count = await ask(clock.wall() - retention)
        except RecordingFailedError:
            logger.warning("Pruning is postponed: the database is unavailable")
        else:
            if count:
                logger.info("Pruned {} older than {}", counted(count, what), retention)
        await asyncio.sleep(interval)


def prune(
    engine: sa.Engine,
    before: datetime,
    pace: Pace,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Delete the ended interceptions that started before then, at that pace; returns how many.

    For the command line: it blocks, on a connection of its own.

    Raises:
        DatabaseAwayError: the database failed; some may be deleted.
    """
    store = Store(engine)
    store.connect()
    try:
        total = 0
        while True:
            with pace.turn(sleep):
                batch = pace.batch
                deleted = store.prune(before, batch)
            total += deleted
            if deleted < batch:
                return total
    finally:
        store.close()


class Pruning:
    """The queue of prunes, which share a pace.

    `settle` resolves a prune: with an error, or with the number of rows deleted.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settle: Callable[[Prune, RecordingFailedError | None], None],
    ) -> None:
        self._clock = clock
        self._pace = Pace(clock)
        self._store = store
        self._settle = settle
        self._prunes: deque[Prune] = deque()

    def put(self, prune: Prune) -> None:
        """Append a prune."""
        self._prunes.append(prune)

    def seconds_left(self, now: float) -> float | None:
        """How long until there is something to delete; None if nothing is asked for."""
        return self._pace.seconds_left(now) if self._prunes else None

    def go_on(self, *, database_away: bool) -> None:
        """Delete a batch of rows for the first prune, if it is time to."""
        began = self._clock.monotonic()
        if not self._prunes or (self._pace.seconds_left(began) and not database_away):
            return
        prune, batch = self._prunes[0], self._pace.batch
        try:
            if database_away:
                raise DatabaseAwayError
            deleted = self._store.prune(prune.before, batch)
        except DatabaseAwayError:
            self._end(RecordingFailedError())
            return
        self._pace.done(began)
        prune.deleted += deleted
        if deleted < batch:
            self._end()

    def give_up(self) -> None:
        """Fail all prunes: the writer is closing."""
        while self._prunes:
            self._end(RecordingFailedError())

    def _end(self, error: RecordingFailedError | None = None) -> None:
        self._settle(self._prunes.popleft(), error)
