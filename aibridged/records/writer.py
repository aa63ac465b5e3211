"""The writer thread, with group commit: it commits all that is queued in one transaction.

While it sleeps, the event loop may use the connection: `write_now`.

While the database is away, it refuses starts, moves facts to the spool, and tries to reconnect;
facts that the spool doesn't take either stay in memory. When the database is back, it writes the
spool's facts first.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from loguru import logger

from aibridged.clock import Clock
from aibridged.records.adoption import Adoption
from aibridged.records.disk_keeper import DiskKeeper
from aibridged.records.fact_queue import FactQueue
from aibridged.records.facts import (
    BackgroundRecord,
    Fact,
    InterceptionEnd,
    InterceptionStart,
    Record,
    refused_end,
)
from aibridged.records.jobs import (
    Admission,
    Adopt,
    Close,
    DiskFailed,
    Place,
    Prune,
    RecordingFailedError,
    TruncateLog,
    Waiting,
    Work,
    settle,
    settle_starts,
    without_refused,
)
from aibridged.records.journal import Journal
from aibridged.records.reconnection import Attempt
from aibridged.records.retention import Pruning
from aibridged.records.spool import Spool, Spooling
from aibridged.records.stats import RecorderStats
from aibridged.records.store import DatabaseAwayError, RowRefusedError, Store
from aibridged.records.truncation import Truncator

_ENDS = (InterceptionEnd, BackgroundRecord)

RETRY_S = 1.0
"""Seconds between attempts to reach the database again."""
FACTS_AT_ONCE = 256
"""Facts per transaction; starts that arrive meanwhile wait two or three milliseconds for it."""

_Taken = tuple[
    list[Waiting], list[InterceptionEnd], bool, Close | None, DiskFailed | TruncateLog | None
]


class Writer:
    """The writer thread. Only `run` and `write_now` are called from outside."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        journal: Journal,
        clock: Clock,
        work: SimpleQueue[Work],
        facts: FactQueue,
        stats: RecorderStats,
        truncator: Truncator,
        *,
        on_record: Callable[[Record], None] | None,
        left_behind: Callable[[], Sequence[Path]],
        retry_interval: float,
    ) -> None:
        self._store = store
        self._spooling = Spooling(spool, stats)
        self._journal = journal
        self._attempt: Attempt | None = None
        self._taken = 0  # of the facts that were queued, in their order
        self._clock = clock
        self._work = work
        self._facts = facts
        self._stats = stats
        self._truncator = truncator
        self._on_record = on_record
        self._retry_interval = retry_interval
        self._loop: asyncio.AbstractEventLoop
        self._awake = threading.Lock()
        self._pruning = Pruning(store, clock, self._settle_prune)
        settle = self._settle
        self._adoption = Adoption(store, clock, stats, left_behind, self._write_kept, settle)
        self._disk_keeper = DiskKeeper(store, clock, work.put)

    def run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        """Open, write until told to close, close."""
        self._loop = loop
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - passed to the caller of `open`
            self._store.close()
            self._spooling.close()
            self._journal.close()
            self._settle([opened], error)
            return
        self._settle([opened])
        self._disk_keeper.start()
        while (close := self._turn()) is None:
            pass
        self._close()
        self._settle([close.closed])

    def write_now(self, starts: Sequence[InterceptionStart]) -> Mapping[str, Admission] | None:
        """Commit starts, or without any the facts that are due, from the event loop, if that can't
        block.

        None leaves them to the thread, which can wait, and knows what to do without a database. Of
        the facts, about `FACTS_AT_ONCE` are committed. See `Store.write`.
        """
        if not self._awake.acquire(blocking=False):
            return None
        try:
            if self._stats.database_away:
                return None
            facts: Sequence[Fact] = ()
            if not starts or self._facts.are_continued_by(starts):
                facts = self._facts.first(FACTS_AT_ONCE)
                if self._truncator.may_truncate(*facts):
                    return None
                if starts and len(facts) < len(self._facts):
                    return None
            began = self._clock.monotonic()
            # Who is over a limit may not be once what has ended is settled, which the thread does.
            final = bool(facts) or not self._facts
            admissions = self._store.write_at_once(starts, facts, may_refuse=final)
            if admissions is None:
                return None
            self._committed(began, starts, facts, admissions)
            if facts:
                self._facts.drop(len(facts))
                self._taken += len(facts)
                self._journal.release(self._taken)
            return admissions
        finally:
            self._awake.release()

    def _open(self) -> None:
        self._spooling.open()
        self._journal.open()
        self._store.connect()
        self._spooling.replay(self._write_kept)
        self._adoption.replay(self._journal)
        self._journal.clear()
        self._adoption.run()

    def _turn(self) -> Close | None:
        """Wait for work and do it once; returns the close request when it comes."""
        waiting, ends, flush, close, disk = self._take()
        with self._awake:
            starts = [one.start for one in waiting]
            facts: Sequence[Fact] = ()
            if close or self._facts.come_before(starts):
                facts = self._facts.all()
            elif flush:
                facts = self._facts.first(FACTS_AT_ONCE)
            self._facts.drop(len(facts))
            self._taken += len(facts)
            facts = self._cut((*facts, *ends))
            if flush and self._facts:
                self._work.put(None)
            # Before the facts, since the commit after it is a slow one: it restarts the WAL.
            self._see_to_disk(disk)
            if not self._stats.database_away:
                self._write(waiting, facts)
            else:
                self._refuse(waiting)
                self._spooling.save(facts)
                if close is None:
                    self._heal()
            if not self._spooling.unsaved:
                self._journal.release(self._taken)
            if (error := self._adoption.go_on(database_away=self._stats.database_away)) is not None:
                self._lose_database(error, [], [])
            self._pruning.go_on(database_away=self._stats.database_away)
            if self._stats.stalled:
                self._stats.stalled = False
                logger.info("The disk or database answers again")
        return close

    def _take(self) -> _Taken:
        """All queued work, and whether the facts are due; waits if there is none.

        Starts don't take the facts along, which cost least when many are written at once.
        """
        waiting: list[Waiting] = []
        ends: list[InterceptionEnd] = []
        flush, close, disk = False, None, None
        try:
            work = self._work.get(timeout=self._patience())
            while True:
                if isinstance(work, Waiting):
                    waiting.append(work)
                elif isinstance(work, InterceptionEnd):
                    ends.append(work)
                elif isinstance(work, Prune):
                    self._pruning.put(work)
                elif isinstance(work, Adopt):
                    self._adoption.put(work)
                elif isinstance(work, DiskFailed | TruncateLog):
                    disk = work
                else:
                    # A notice that facts are due may come after the request to close.
                    flush, close = True, close or work
                work = self._work.get_nowait()
        except Empty:
            return waiting, ends, flush, close, disk

    def _patience(self) -> float | None:
        if self._stats.database_away:
            return self._retry_interval
        return self._pruning.seconds_left(self._clock.monotonic())

    def _write(self, waiting: Sequence[Waiting], facts: Sequence[Fact]) -> None:
        admissions: Mapping[str, Admission] = {}
        try:
            if waiting or facts:
                admissions = self._commit([one.start for one in waiting], facts)
        except RowRefusedError:
            self._write_singly(waiting, facts)
        except DatabaseAwayError as error:
            self._lose_database(error, waiting, facts)
        else:
            self._settle_starts(waiting, admissions)

    def _write_singly(self, waiting: Sequence[Waiting], facts: Sequence[Fact]) -> None:
        """Write what the database doesn't refuse, one by one, in the order of a batch."""
        ends = [fact for fact in facts if isinstance(fact, _ENDS)]
        others = [fact for fact in facts if not isinstance(fact, _ENDS)]
        done = 0
        try:
            self._write_facts(others)
            for one in waiting:
                self._write_start(one)
                done += 1
            self._write_facts(ends)
        except DatabaseAwayError as error:
            self._lose_database(error, waiting[done:], facts)

    def _write_start(self, one: Waiting) -> None:
        try:
            admissions = self._commit([one.start], [])
        except RowRefusedError as error:
            logger.error("Interception {} can't be stored: {}", one.start.id, error)
            self._refuse([one])
        else:
            self._settle_starts([one], admissions)

    def _cut(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts truncated, before they are kept or written anywhere."""
        return [self._truncator.truncate(fact) for fact in facts]

    def _write_kept(self, facts: Sequence[Fact]) -> None:
        # The journal, and the spools of earlier releases, hold full texts.
        self._write_facts(self._cut(facts))

    def _write_facts(self, facts: Sequence[Fact]) -> None:
        """Write the facts; those that the database refuses are lost, and counted."""
        if not facts:
            return
        try:
            self._commit([], facts)
        except RowRefusedError:
            for fact in facts:
                try:
                    self._commit([], [fact])
                except RowRefusedError as error:
                    if self._store.is_gone(fact):
                        continue  # with its interception, which was erased
                    self._stats.records_lost += 1
                    logger.error("A {} can't be stored and is lost: {}", type(fact).__name__, error)

    def _commit(
        self, starts: Sequence[InterceptionStart], facts: Sequence[Fact]
    ) -> Mapping[str, Admission]:
        began = self._clock.monotonic()
        admissions = self._store.write(starts, facts)
        self._committed(began, starts, facts, admissions)
        return admissions

    def _committed(
        self,
        began: float,
        starts: Sequence[InterceptionStart],
        facts: Sequence[Fact],
        admissions: Mapping[str, Admission],
    ) -> None:
        now = self._clock.monotonic()
        self._stats.committed(len(starts) + len(facts), now - began, now)
        self._disk_keeper.committed(now)
        if self._on_record is not None:
            self._tell(self._on_record, [*without_refused(starts, admissions), *facts])

    def _tell(self, on_record: Callable[[Record], None], records: Sequence[Record]) -> None:
        for record in records:
            try:
                on_record(record)
            except Exception as error:  # noqa: BLE001 - the record is stored, whatever the callback does
                logger.error("A record could not be logged: {}", type(error).__name__)

    def _lose_database(
        self, error: Exception, waiting: Sequence[Waiting], facts: Sequence[Fact]
    ) -> None:
        """Switch to the spool.

        A commit may have succeeded although its confirmation was lost: then a refused start is in
        the database, so it is ended.
        """
        logger.error(
            "Recording fails closed, requests are refused until the database is back: {}", error
        )
        self._stats.database_away = True
        self._refuse(waiting)
        self._spooling.save([*facts, *(refused_end(one.start) for one in waiting)])

    def _refuse(self, waiting: Sequence[Waiting]) -> None:
        self._stats.starts_refused += len(waiting)
        self._settle([one.committed for one in waiting], RecordingFailedError())

    def _heal(self) -> None:
        """Try to reach the database; once it is there, write what waits for it."""
        if self._attempt is None:
            self._attempt = Attempt(self._store, lambda: self._work.put(None))
        if not self._attempt.is_over:
            return
        attempt, self._attempt = self._attempt, None
        if not attempt.succeeded:
            return
        try:
            self._spooling.replay(self._write_kept)
        except (DatabaseAwayError, OSError):
            return
        self._stats.database_away = False
        logger.info("The database is back, and the spool has been replayed")

    def _see_to_disk(self, disk: DiskFailed | TruncateLog | None) -> None:
        if disk is None or self._stats.database_away:
            return
        if isinstance(disk, DiskFailed):
            self._lose_database(disk.error, [], [])
            return
        try:
            self._store.truncate_log()
        except DatabaseAwayError as error:
            self._lose_database(error, [], [])

    def _close(self) -> None:
        if self._attempt is not None:
            self._attempt.abandon()
        self._pruning.give_up()
        self._disk_keeper.stop()
        self._store.close()
        self._spooling.leave_to_journal(self._journal.missed)
        self._spooling.close()
        self._journal.close()

    def _settle_starts(self, waiting: Sequence[Waiting], admitted: Mapping[str, Admission]) -> None:
        with suppress(RuntimeError):  # as below
            self._loop.call_soon_threadsafe(settle_starts, waiting, admitted)

    def _settle_prune(self, prune: Prune, error: RecordingFailedError | None) -> None:
        self._settle([prune.pruned], error, prune.deleted)

    def _settle(
        self,
        futures: Sequence[asyncio.Future[Any] | Place],
        error: Exception | None = None,
        result: Any = None,
    ) -> None:
        if not futures:
            return
        with suppress(RuntimeError):  # the loop is closed, and nobody is waiting any more
            self._loop.call_soon_threadsafe(settle, futures, error, result)
