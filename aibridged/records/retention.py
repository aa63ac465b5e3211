"""Retention: prunes old interceptions with all their rows, in small batches."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from loguru import logger

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.records.jobs import Prune, RecordingFailedError
from aibridged.records.store import DatabaseAwayError, Store

INTERVAL_S = 3600.0
PRUNED_AT_ONCE = 50
"""Interceptions, at most."""
FIRST_BATCH = 5
BATCH_S = 0.001
"""How long the daemon deletes at a time, about."""
SHARE = 0.05
"""Of all time, what is spent on it at most: some hundred interceptions a second."""
LEAST_PAUSE_S = 0.002


async def keep_pruning(
    ask: Callable[[datetime], Awaitable[int]],
    clock: Clock,
    retention: timedelta,
    *,
    interval: float = INTERVAL_S,
) -> None:
    """Delete what is older than `retention`, now and every `interval` seconds, until cancelled.

    `ask` is the recorder's `prune`: its writer does it, between its other work. Open interceptions
    are kept.
    """
    while True:
        try:
            count = await ask(clock.wall() - retention)
        except RecordingFailedError:
            logger.warning("Pruning is postponed: the database is unavailable")
        else:
            if count:
                logger.info("Pruned {} older than {}", counted(count, "interception"), retention)
        await asyncio.sleep(interval)


def prune(engine: sa.Engine, before: datetime) -> int:
    """Delete the ended interceptions that started before then, at once; returns how many.

    For the command line: it blocks, on a connection of its own.

    Raises:
        DatabaseAwayError: the database failed; some may be deleted.
    """
    store = Store(engine)
    store.connect()
    try:
        total = 0
        while deleted := store.prune(before, PRUNED_AT_ONCE):
            total += deleted
        return total
    finally:
        store.close()


class Pruning:
    """The queue of prunes, each at a pace.

    Starts wait for what is being deleted: so that takes about `BATCH_S` at a time, and a share of
    all time that leaves room for others' commits and for the disk. `settle` resolves a prune: with
    an error, or with the number of rows deleted.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settle: Callable[[Prune, RecordingFailedError | None], None],
    ) -> None:
        self._clock = clock
        self._batch = FIRST_BATCH
        self._next_at = float("-inf")
        self._store = store
        self._settle = settle
        self._prunes: deque[Prune] = deque()

    def put(self, prune: Prune) -> None:
        """Append a prune."""
        self._prunes.append(prune)

    def seconds_left(self, now: float) -> float | None:
        """How long until there is something to delete; None if nothing is asked for."""
        return max(0.0, self._next_at - now) if self._prunes else None

    def go_on(self, *, database_away: bool) -> None:
        """Delete a batch of rows for the first prune, if it is time to."""
        began = self._clock.monotonic()
        if not self._prunes or (began < self._next_at and not database_away):
            return
        prune, batch = self._prunes[0], self._batch
        try:
            if database_away:
                raise DatabaseAwayError
            deleted = self._store.prune(prune.before, batch)
        except DatabaseAwayError:
            self._end(RecordingFailedError())
            return
        self._pace(batch, began)
        prune.deleted += deleted
        if deleted < batch:
            self._end()

    def _pace(self, batch: int, began: float) -> None:
        """Say when the next rows go, and how many, by what these have taken."""
        now = self._clock.monotonic()
        took = now - began
        fitting = int(batch * BATCH_S / took) if took > 0 else PRUNED_AT_ONCE
        self._batch = max(1, min(fitting, 2 * batch, PRUNED_AT_ONCE))
        self._next_at = now + max(took * (1 / SHARE - 1), LEAST_PAUSE_S)

    def give_up(self) -> None:
        """Fail all prunes: the writer is closing."""
        while self._prunes:
            self._end(RecordingFailedError())

    def _end(self, error: RecordingFailedError | None = None) -> None:
        self._settle(self._prunes.popleft(), error)
