"""The thread that brings commits to the disk: flushes and checkpoints, off the way of starts.

A disk may take seconds for a flush. Commits are writes to memory meanwhile, and go on.
"""

import threading
from collections.abc import Callable

from loguru import logger

from aibridged.clock import Clock
from aibridged.records.flush_schedule import DiskSchedule
from aibridged.records.jobs import DiskFailed, TruncateLog
from aibridged.records.scrubbing import LOOK_S
from aibridged.records.store import DatabaseAwayError, Store

SLOW_S = 10.0
"""A flush that takes longer is logged."""
STOP_S = 2.0
"""How long the end waits for one that is under way."""


class DiskKeeper:
    """Brings what is committed to the disk, by its schedule.

    `tell` gets what the writer has to do: it alone may restart the write-ahead log.
    """

    def __init__(
        self, store: Store, clock: Clock, tell: Callable[[DiskFailed | TruncateLog], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell
        self._schedule = DiskSchedule()
        self._look_at = float("-inf")
        self._is_stopping = False
        self._awakened = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk keeper", daemon=True)

    def start(self) -> None:
        """Begin, where the database leaves its disk to the daemon."""
        if self._store.has_own_disk:
            self._thread.start()

    def committed(self, now: float) -> None:
        """Note a commit. From any thread, and at hardly any cost."""
        if self._schedule.committed(now):
            self._awakened.set()

    def wake(self) -> None:
        """Look at the clock now."""
        self._awakened.set()

    def stop(self) -> None:
        """Bring nothing more to the disk: closing the database does."""
        self._is_stopping = True
        self._awakened.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._is_stopping:
            left = self._schedule.seconds_left(self._clock.monotonic())
            self._awakened.wait(LOOK_S if left is None else min(left, LOOK_S))
            self._awakened.clear()
            began = self._clock.monotonic()
            try:
                self._keep(began)
            except DatabaseAwayError as error:
                self._tell(DiskFailed(error))
            if (took := self._clock.monotonic() - began) > SLOW_S:
                logger.warning("The disk took {:.0f} s for a flush of the record", took)
        self._store.close_aside()

    def _keep(self, now: float) -> None:
        if self._is_stopping:
            return
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            if self._store.is_scrub_requested():
                self._tell(TruncateLog())
        if self._schedule.checkpoint_is_due(now):
            self._store.flush()
            if self._store.checkpoint_aside():
                self._tell(TruncateLog())
        elif self._schedule.flush_is_due(now):
            self._store.flush()
