"""The thread that writes: it commits all that waits in one transaction, again and again.

While the database is away it refuses starts, moves facts to the spool and tries to come back; the
facts that the spool doesn't take either it keeps in memory. When the database is back, it writes
the spool's facts first.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from loguru import logger

from aibridged.clock import Clock
from aibridged.records.facts import (
    Fact,
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    Record,
    ToolUsageRecord,
)
from aibridged.records.spool import Spool
from aibridged.records.stats import RecorderStats
from aibridged.records.store import DatabaseAwayError, RowRefusedError, Store
from aibridged.records.work import Close, Prune, RecordingFailedError, Waiting, Work

RETRY_S = 1.0
"""How long to wait between attempts to reach the database again."""
CHECKPOINT_S = 0.5
PRUNED_AT_ONCE = 50


class Writer:
    """The state of the thread. Only `run` is called from outside."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        clock: Clock,
        work: SimpleQueue[Work],
        facts: deque[Fact],
        stats: RecorderStats,
        *,
        on_record: Callable[[Record], None] | None,
        retry_interval: float,
    ) -> None:
        self._store = store
        self._spool = spool
        self._clock = clock
        self._work = work
        self._facts = facts
        self._stats = stats
        self._on_record = on_record
        self._retry_interval = retry_interval
        self._loop: asyncio.AbstractEventLoop
        self._unsaved: list[Fact] = []
        self._prunes: deque[Prune] = deque()
        self._checkpoint_due: float | None = None

    def run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        """Open, write until told to close, close."""
        self._loop = loop
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - whoever opened the recorder is told
            self._store.close()
            self._spool.close()
            self._settle([opened], error)
            return
        self._settle([opened])
        close = None
        while close is None:
            close = self._turn()
        self._close()
        self._settle([close.closed])

    def _open(self) -> None:
        self._spool.open()
        self._store.connect()
        self._replay()
        interrupted = self._store.close_left_open(self._clock.wall())
        if interrupted:
            logger.warning("{} interceptions were interrupted by an earlier end", interrupted)

    def _turn(self) -> Close | None:
        """Wait for work and do it once; returns the word to close when it comes."""
        waiting, flush, close = self._take()
        facts = self._take_facts() if flush or self._are_continued_by(waiting) else []
        if not self._stats.database_away:
            self._write(waiting, facts)
        else:
            self._refuse(waiting)
            self._save(facts)
            self._heal()
        if self._prunes:
            self._prune()
        self._checkpoint()
        return close

    def _take(self) -> tuple[list[Waiting], bool, Close | None]:
        """All work that waits, and whether the facts are due; at first wait for some.

        Starts don't take the facts along: facts cost least when many are written at once.
        """
        waiting: list[Waiting] = []
        flush, close = False, None
        try:
            work = self._work.get(timeout=self._patience())
            while True:
                if isinstance(work, Waiting):
                    waiting.append(work)
                elif isinstance(work, Prune):
                    self._prunes.append(work)
                else:
                    # A word that facts are due may come after the one to close.
                    flush, close = True, close or work
                work = self._work.get_nowait()
        except Empty:
            return waiting, flush, close

    def _patience(self) -> float | None:
        if self._prunes:
            return 0.0
        if self._stats.database_away:
            return self._retry_interval
        if self._checkpoint_due is not None:
            return max(0.0, self._checkpoint_due - self._clock.monotonic())
        return None

    def _are_continued_by(self, waiting: Sequence[Waiting]) -> bool:
        """Whether a start continues a tool call that isn't written yet."""
        calls = {call for one in waiting if (call := one.start.correlating_tool_call_id)}
        return bool(calls) and any(
            isinstance(fact, ToolUsageRecord) and fact.provider_tool_call_id in calls
            for fact in self._facts.copy()
        )

    def _take_facts(self) -> list[Fact]:
        # Counted first: the event loop may append meanwhile.
        return [self._facts.popleft() for _ in range(len(self._facts))]

    def _write(self, waiting: Sequence[Waiting], facts: Sequence[Fact]) -> None:
        if not waiting and not facts:
            return
        try:
            self._commit([one.start for one in waiting], facts)
        except RowRefusedError:
            self._write_singly(waiting, facts)
        except DatabaseAwayError as error:
            self._lose_database(error, waiting, facts)
        else:
            self._settle([one.committed for one in waiting])

    def _write_singly(self, waiting: Sequence[Waiting], facts: Sequence[Fact]) -> None:
        """Write what the database doesn't refuse."""
        for done, one in enumerate(waiting):
            try:
                self._commit([one.start], [])
            except RowRefusedError as error:
                logger.error("Interception {} can't be stored: {}", one.start.id, error)
                self._refuse([one])
            except DatabaseAwayError as error:
                self._lose_database(error, waiting[done:], facts)
                return
            else:
                self._settle([one.committed])
        try:
            self._write_facts(facts)
        except DatabaseAwayError as error:
            self._lose_database(error, [], facts)

    def _write_facts(self, facts: Sequence[Fact]) -> None:
        """Write them; what the database refuses is lost, and counted."""
        try:
            self._commit([], facts)
        except RowRefusedError:
            for fact in facts:
                try:
                    self._commit([], [fact])
                except RowRefusedError as error:
                    self._stats.records_lost += 1
                    logger.error("A {} can't be stored and is lost: {}", type(fact).__name__, error)

    def _commit(self, starts: Sequence[InterceptionStart], facts: Sequence[Fact]) -> None:
        began = self._clock.monotonic()
        self._store.write(starts, facts)
        now = self._clock.monotonic()
        self._stats.committed(len(starts) + len(facts), now - began)
        if self._checkpoint_due is None:
            self._checkpoint_due = now + CHECKPOINT_S
        if self._on_record is not None:
            self._tell(self._on_record, [*starts, *facts])

    def _tell(self, on_record: Callable[[Record], None], records: Sequence[Record]) -> None:
        for record in records:
            try:
                on_record(record)
            except Exception as error:  # noqa: BLE001 - the record is safe, whoever listens to it
                logger.error("A record could not be logged: {}", type(error).__name__)

    def _lose_database(
        self, error: Exception, waiting: Sequence[Waiting], facts: Sequence[Fact]
    ) -> None:
        """Go over to the spool.

        A commit may have reached the database although we heard otherwise: then a refused start
        is there, and so it is ended.
        """
        logger.error("Requests are refused until the database is back: {}", error)
        self._stats.database_away = True
        self._refuse(waiting)
        ends = [
            InterceptionEnd(
                interception_id=one.start.id,
                ended_at=one.start.started_at,
                outcome=Outcome.FAILED,
                status_code=503,
            )
            for one in waiting
        ]
        self._save([*facts, *ends])

    def _refuse(self, waiting: Sequence[Waiting]) -> None:
        self._stats.starts_refused += len(waiting)
        self._settle([one.committed for one in waiting], RecordingFailedError())

    def _save(self, facts: Sequence[Fact]) -> None:
        """Spool the facts, with those that couldn't be spooled before."""
        self._unsaved += facts
        if not self._unsaved:
            return
        try:
            self._spool.append(self._unsaved)
        except OSError as error:
            logger.error(
                "{} records wait in memory, for the spool can't be written: {}",
                len(self._unsaved),
                error.strerror,
            )
            return
        self._stats.records_spooled += len(self._unsaved) - self._spool.lost
        self._count_lost_lines()
        self._stats.spool_bytes = self._spool.size
        self._unsaved = []

    def _heal(self) -> None:
        """Try to reach the database; if it is there, write what waits for it."""
        try:
            self._store.connect()
            self._replay()
            self._write_facts(self._unsaved)
            self._unsaved = []
        except (DatabaseAwayError, OSError):
            return
        self._stats.database_away = False
        logger.info("The database is back, and all that was spooled is in it")

    def _replay(self) -> None:
        """Write the spool's facts to the database, and only then empty it."""
        if not self._spool.size:
            return
        for facts in self._spool.read():
            self._write_facts(facts)
            self._stats.records_replayed += len(facts)
        self._count_lost_lines()
        self._spool.clear()
        self._stats.spool_bytes = 0

    def _count_lost_lines(self) -> None:
        lost, self._spool.lost = self._spool.lost, 0
        if lost:
            logger.error("{} lines of the spool can't be read or written and are lost", lost)
            self._stats.records_lost += lost

    def _prune(self) -> None:
        """Delete a few rows for the prune that came first."""
        prune = self._prunes[0]
        try:
            if self._stats.database_away:
                raise DatabaseAwayError
            deleted = self._store.prune(prune.before, PRUNED_AT_ONCE)
        except DatabaseAwayError:
            self._prunes.popleft()
            self._settle([prune.pruned], RecordingFailedError())
            return
        prune.deleted += deleted
        if deleted < PRUNED_AT_ONCE:
            self._prunes.popleft()
            self._settle([prune.pruned], result=prune.deleted)

    def _checkpoint(self) -> None:
        if self._checkpoint_due is None or self._clock.monotonic() < self._checkpoint_due:
            return
        self._checkpoint_due = None
        if not self._stats.database_away:
            try:
                self._store.checkpoint()
            except DatabaseAwayError as error:
                self._lose_database(error, [], [])

    def _close(self) -> None:
        if self._stats.database_away:
            self._heal()
        for prune in self._prunes:
            self._settle([prune.pruned], RecordingFailedError())
        if self._unsaved:
            self._stats.records_lost += len(self._unsaved)
            logger.error("{} records are lost: nothing would take them", len(self._unsaved))
        self._store.close()
        self._spool.close()

    def _settle(
        self,
        futures: Sequence[asyncio.Future[Any]],
        error: Exception | None = None,
        result: Any = None,
    ) -> None:
        if not futures:
            return
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(_settle, futures, error, result)


def _settle(futures: Sequence[asyncio.Future[Any]], error: Exception | None, result: Any) -> None:
    for future in futures:
        if future.done():  # cancelled by whoever waited
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
