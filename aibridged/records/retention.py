"""Retention: prunes old interceptions with all their rows, in small batches."""

import asyncio
from datetime import datetime, timedelta

import sqlalchemy as sa
from loguru import logger

from aibridged.clock import Clock
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.pruning import PRUNED_AT_ONCE
from aibridged.records.recorder import Recorder
from aibridged.records.store import Store

INTERVAL_S = 3600.0


async def keep_pruning(
    recorder: Recorder, clock: Clock, retention: timedelta, *, interval: float = INTERVAL_S
) -> None:
    """Delete what is older than `retention`, now and every `interval` seconds, until cancelled.

    The recorder's writer does it, between its other work. An interception that is still open
    stays.
    """
    while True:
        try:
            count = await recorder.prune(clock.wall() - retention)
        except RecordingFailedError:
            logger.warning("Pruning is postponed: the database is unavailable")
        else:
            if count:
                logger.info("Pruned {} interceptions older than {}", count, retention)
        await asyncio.sleep(interval)


def prune(engine: sa.Engine, before: datetime) -> int:
    """Delete the ended interceptions that started before then, at once; returns how many.

    For the command line: it blocks, on a connection of its own.

    Raises:
        DatabaseAwayError: the database went away; some may be deleted.
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
