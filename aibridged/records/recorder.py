"""The recorder, as the pipeline sees it: starts wait for a group commit, facts never wait.

Starts that arrive in consecutive turns of the event loop are committed together, so that committing
each start before its request goes upstream costs a request only a share of a commit. What follows
is then done for all of them in a row, too, which costs less than between other work. While they
come one by one, each is committed at once. Where a
commit is only a write to memory, the loop makes it itself: a thread would cost more, for two
wake-ups and for the interpreter lock that it holds. Otherwise the writer's thread makes it,
with everything that was queued while it wrote (see `writer`). Facts after the start are delayed by
`LINGER_S` or `LONGER`, since nobody waits for them: they cost least in large batches.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import inf
from pathlib import Path
from queue import SimpleQueue

from aibridged.clock import Clock
from aibridged.records.disk_waits import DiskWaits
from aibridged.records.fact_queue import FactQueue
from aibridged.records.facts import (
    Fact,
    InterceptionStart,
    Record,
    given_up_end,
    refused_end,
)
from aibridged.records.jobs import (
    Admission,
    Close,
    Prune,
    RecordingFailedError,
    Waiting,
    Work,
    admitted,
    settle_starts,
)
from aibridged.records.journal import Journal
from aibridged.records.journaled import JournaledRecorder
from aibridged.records.spool import Spool
from aibridged.records.stalled_starts import StalledStarts
from aibridged.records.stats import RecorderStats
from aibridged.records.store import Store
from aibridged.records.truncation import Truncator
from aibridged.records.writer import RETRY_S, Writer

LINGER_S = 0.1
LONGER = 9
"""Facts wait so many times longer if requests have started meanwhile, whose facts can be committed
with them. The journal has them; and a commit costs about as much for the facts of one request as
for those of ten, since they touch the same pages."""
ENOUGH = 128
"""So many facts wait no longer, since the event loop stands still while it commits them."""
QUEUE_LIMIT = 10_000

GATHERING_TURNS = 4
"""Most turns of the event loop that a start waits for others, as long as each brings some."""

CLOSE_S = 15.0
"""How long the thread may take for its last commit and for the spool, unless there is less time."""
_LAST_S = 2.0  # what it gets, however little time is left

ALONE_S = 0.0005
"""A start that comes so long after the last commit, which was of one alone, waits for no others."""


class Recorder(JournaledRecorder):
    """Records interceptions. All of it is called from the event loop.

    Starts are refused while `queue_limit` starts and facts are queued, and in the upper half of
    that a caller's own starts are while a tenth of the limit is queued for that caller. Facts are
    never refused, but only started interceptions have any, so the queue stays bounded. `truncator`
    truncates long texts in the writer's thread. `on_record` is called with each record after its
    commit, in the thread that made it. `left_behind` finds the journals of dead recorders beside
    its own, which are replayed and removed. Times are in seconds.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        journal: Journal,
        clock: Clock,
        *,
        truncator: Truncator | None = None,
        on_record: Callable[[Record], None] | None = None,
        left_behind: Callable[[], Sequence[Path]] = tuple,
        queue_limit: int = QUEUE_LIMIT,
        linger: float = LINGER_S,
        retry_interval: float = RETRY_S,
    ) -> None:
        super().__init__(journal, RecorderStats(), "The disk or database")
        self._store = store
        self._clock = clock
        self._queue_limit = queue_limit
        self._linger = linger
        self._starts: list[Waiting] = []
        self._handed_over = StalledStarts(clock, self.stats, self._who, self._end_stalled)
        self._finish_by = inf
        self._disk_waits = DiskWaits()
        self._alone_from = inf  # a start that comes by then gathers others
        self._waiting = 0
        self._started = 0
        self._flush_is_due = False
        self._longer: asyncio.TimerHandle | None = None
        self._work: SimpleQueue[Work] = SimpleQueue()
        self._facts = FactQueue()
        self._writer = Writer(
            store,
            spool,
            journal,
            clock,
            self._work,
            self._facts,
            self.stats,
            truncator or Truncator(),
            on_record=on_record,
            left_behind=left_behind,
            retry_interval=retry_interval,
        )

    @property
    def queue_length(self) -> int:
        """The number of starts and facts that are queued."""
        # Of those handed over, some may have no waiter any more.
        return max(self._waiting, self._work.qsize()) + len(self._facts)

    async def open(self) -> None:
        """Connect, replay spool and journal, and end what an earlier daemon left open.

        Raises:
            DatabaseAwayError, SpoolError, OSError: the recorder can't be used.
        """
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._writer.run, args=(self._loop, opened), name="recorder", daemon=True
        )
        self._thread.start()
        await opened

    async def start(self, start: InterceptionStart) -> tuple[int, ...]:
        """Return once the row is committed: what was used before, by check of its reservation.

        Cancelled meanwhile, the interception ends.

        Raises:
            RecordingFailedError: it can't be committed, and the request must not go upstream.
            BudgetExceededError: its reservation isn't allowed, and it isn't recorded.
        """
        has_room = self._facts.has_room_for(
            start.initiator_id, self.queue_length, self._queue_limit
        )
        if self._closed or self.stats.refuses or not has_room:
            self.stats.starts_refused += 1
            raise RecordingFailedError
        began = self._clock.monotonic()
        self._started += 1
        is_alone = began > self._alone_from and not self._starts
        if is_alone:
            admissions = self._write_now((start,))
            if admissions is not None:
                self._alone_from = self._note_wait(began) + ALONE_S
                return admitted(start, admissions) if admissions else ()
        committed: asyncio.Future[tuple[int, ...]] = self._loop.create_future()
        self._waiting += 1
        waiting = Waiting(start, committed)
        if is_alone:
            self._hand_over([waiting], began)
        else:
            self._starts.append(waiting)
            if len(self._starts) == 1:
                self._loop.call_soon(self._gather, 0, GATHERING_TURNS)
        try:
            used = await committed
        except asyncio.CancelledError:
            self._commit_starts()  # this one may be among them, and its end must follow it
            self._abandon(start, self._clock.monotonic() - began)
            raise
        finally:
            self._waiting -= 1
        self._note_wait(began)
        return used

    def _note_wait(self, began: float) -> float:
        """Note how long a start has waited; returns the time."""
        now = self._clock.monotonic()
        self.stats.start_waits.observe((), now - began)
        return now

    def record(self, *facts: Fact, initiator_id: str = "") -> None:
        """Queue facts of an interception whose start is committed; never waits, loses nothing.

        They are in the journal when it returns, so that no kill takes them either; a prompt is
        within a turn of the event loop.
        """
        # While starts are committed together, prompts are journaled together.
        if not self._takes(facts, together=self._alone_from == inf):
            return
        queued = self._facts.put(facts, initiator_id)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_later(self._linger, self._flush_unless_more_come, self._started)
        elif queued >= ENOUGH and self._longer is not None:
            self._longer.cancel()
            self._longer = None
            self._loop.call_soon(self._flush)

    def _flush_unless_more_come(self, started: int) -> None:
        """Commit what is queued, later if it is little and requests have `started` since."""
        if self._started > started and len(self._facts) < ENOUGH:
            self._longer = self._loop.call_later(LONGER * self._linger, self._flush)
        else:
            self._flush()

    async def prune(self, before: datetime) -> int:
        """Delete the ended interceptions that started before then; returns how many.

        The writer does it in small batches, between its other work.

        Raises:
            RecordingFailedError: the database failed; some may be deleted.
        """
        if self._closed:
            raise RecordingFailedError
        pruned: asyncio.Future[int] = self._loop.create_future()
        self._work.put(Prune(before, pruned))
        return await pruned

    async def close(self) -> None:
        """Write the queue, to the database or to the spool, and stop."""
        if self._closed:
            return
        self._closed = True
        self._commit_starts()
        closed: asyncio.Future[None] = self._loop.create_future()
        self._work.put(Close(closed))
        left = max(min(CLOSE_S, self._finish_by - self._clock.monotonic()), _LAST_S)
        try:
            async with asyncio.timeout(left):
                await closed
        except TimeoutError:
            # The thread is in the kernel, and nothing gets it out of there.
            self._leave_to_journal()
        else:
            self._thread.join()
        finally:
            self._handed_over.close()

    def finish_by(self, seconds: float) -> None:
        """Let the database have no more time than that, in what is still to be written."""
        self._finish_by = self._clock.monotonic() + seconds
        self._store.finish_by(seconds)

    def _abandon(self, start: InterceptionStart, elapsed: float) -> None:
        """End a start that is no longer waited for, though it may not even be committed yet."""
        end = given_up_end(start, elapsed)
        if self._closed:
            self.record(end)
        else:
            self._work.put(end)

    def _gather(self, seen: int, turns: int) -> None:
        """Commit the queued starts, once a turn of the loop has added none to those `seen`."""
        if turns and len(self._starts) > seen:
            self._loop.call_soon(self._gather, len(self._starts), turns - 1)
        else:
            self._commit_starts()

    def _commit_starts(self) -> None:
        """Commit the queued starts together."""
        waiting, self._starts = self._starts, []
        if not waiting:
            return
        admissions = self._write_now([one.start for one in waiting])
        now = self._clock.monotonic()
        self._alone_from = now + ALONE_S if len(waiting) == 1 else inf
        if admissions is not None:
            settle_starts(waiting, admissions)
        else:
            self._hand_over(waiting, now)

    def _hand_over(self, waiting: Sequence[Waiting], now: float) -> None:
        """Leave starts to the thread, which were tried once: see `Store.write_at_once`."""
        for one in waiting:
            self._work.put(one)
            self._handed_over.put(one, now)

    def _end_stalled(self, one: Waiting) -> None:
        self._work.put(refused_end(one.start))  # it may be committed in the end

    def _flush(self) -> None:
        self._longer = None
        if self._facts and self._write_now() is None:
            self._work.put(None)
        elif self._facts:
            self._loop.call_soon(self._flush)
            return
        self._flush_is_due = False

    def _write_now(
        self, starts: Sequence[InterceptionStart] = ()
    ) -> Mapping[str, Admission] | None:
        """Write the starts, or without any the facts that are due, if that can't block."""
        began = self._clock.monotonic()
        if not self._disk_waits.begin(began):
            return None
        admissions = self._writer.write_now(starts)
        if admissions is not None:
            self._disk_waits.end(began, self._clock.monotonic())
        return admissions
