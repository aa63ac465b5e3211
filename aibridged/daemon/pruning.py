"""Background tasks that delete what is past its retention period, which a reload may change."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from loguru import logger

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.identity import audit
from aibridged.identity.tables import StoreUnavailableError
from aibridged.records.database import Engine
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.partitions import Partitions
from aibridged.records.retention import keep_pruning
from aibridged.records.store import DatabaseAwayError
from aibridged.tasks import Tasks

Ask = Callable[[datetime], Awaitable[int]]
"""Deletes what is older, and returns the number of rows; raises RecordingFailedError."""


class Pruning:
    """Keeps asking for rows of `what` to be deleted. `task` is None while they are kept forever."""

    def __init__(self, ask: Ask, what: str, tasks: Tasks, clock: Clock) -> None:
        self.task: asyncio.Task[None] | None = None
        self._ask = ask
        self._what = what
        self._tasks = tasks
        self._clock = clock
        self._retention: float | None = None

    def keep(self, retention: float | None) -> None:
        """Keep rows for so many seconds from now on, forever if that is none."""
        if retention == self._retention:
            return
        self._retention = retention
        if self.task is not None:
            self.task.cancel()
        self.task = None
        if retention:
            period = timedelta(seconds=retention)
            self.task = self._tasks.start(
                keep_pruning(self._ask, self._clock, period, what=self._what),
                f"retention of {self._what}s",
            )


def record_pruner(partitions: Partitions, prune: Ask) -> Ask:
    """Drops partitions that are too old as a whole, and has other old rows deleted by `prune`."""

    async def ask(before: datetime) -> int:
        try:
            dropped = await asyncio.to_thread(partitions.drop_before, before)
        except DatabaseAwayError:
            raise RecordingFailedError from None
        for each in dropped:
            if each.why_not is None:
                about = counted(each.rows, "interception")
                logger.info("Dropped {} with about {}", each.name, about)
            else:
                logger.info("{} can't be dropped, its rows go: {}", each.name, each.why_not)
        return await prune(before)

    return ask


def audit_pruner(engine: Engine) -> Ask:
    """Deletes old rows of the audit log, off the event loop."""

    async def ask(before: datetime) -> int:
        try:
            return await asyncio.to_thread(audit.prune, engine, before)
        except StoreUnavailableError:
            raise RecordingFailedError from None

    return ask
