"""The recorder of a worker on SQLite: another process commits what it sends, with its siblings'.

It keeps the promises of `recorder.Recorder`. A start is answered by the writer process, or refused:
at once while there is no connection, and after `STALL_S` where no answer comes. Facts are in the
worker's journal when `record` returns, and in its queue until the writer has committed or spooled
them; on a new connection they are sent again.

The event loop itself sends and receives the frames. Facts wait for the next start, or for
`LINGER_S`; those that others' requests depend on are sent at once, before the client of theirs gets
to know of them.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf

from loguru import logger

from aibridged.clock import Clock
from aibridged.records.fact_queue import FactQueue
from aibridged.records.facts import (
    BackgroundRecord,
    Fact,
    InterceptionEnd,
    InterceptionStart,
    Record,
    Reservation,
    StoredObjectRecord,
    ToolUsageRecord,
    given_up_end,
)
from aibridged.records.jobs import RecordingFailedError, Waiting
from aibridged.records.journaled import JournaledRecorder
from aibridged.records.recorder import CLOSE_S, LINGER_S, QUEUE_LIMIT
from aibridged.records.remote_frames import Answers, Batch, Bye, UnencodableError
from aibridged.records.remote_journal import WorkerJournal
from aibridged.records.remote_link import RETRY_S, RemoteLink
from aibridged.records.remote_outbox import Outbox, sendable
from aibridged.records.remote_starts import RemoteStarts
from aibridged.records.stalled_starts import STALL_S
from aibridged.records.stats import RecorderStats
from aibridged.records.store import DatabaseAwayError
from aibridged.records.truncation import Truncator

PLENTY = 1000
"""So many times what a request may cost: where a budget has as much left, it isn't used up before
the facts are sent in their turn."""
OPEN_S = 30.0
"""How long the writer process may take for its own start, and to welcome this worker."""
_LAST_S = 2.0  # what the end gets, however little time is left


class RemoteRecorder(JournaledRecorder):
    """Records interceptions through another process. All of it is called from the event loop.

    `connect` returns a socket that is connected to it. What isn't explained here is as in
    `recorder.Recorder`; `stats` counts what this worker knows.
    """

    _journal: WorkerJournal

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        recorder_id: int,
        journal: WorkerJournal,
        clock: Clock,
        *,
        truncator: Truncator | None = None,
        on_record: Callable[[Record], None] | None = None,
        queue_limit: int = QUEUE_LIMIT,
        linger: float = LINGER_S,
        stall: float = STALL_S,
        retry_interval: float = RETRY_S,
    ) -> None:
        stats = RecorderStats(database_away=True)
        super().__init__(journal, stats, "The process that writes the records")
        self._clock = clock
        self._on_record = on_record
        self._queue_limit = queue_limit
        self._linger = linger
        self._starts = RemoteStarts(clock, self.stats, self.record, stall)
        self._facts = FactQueue()
        self._taken = 0  # of all facts that were queued
        self._outbox = Outbox(truncator or Truncator(), self._send)
        self._link = RemoteLink(
            connect,
            recorder_id,
            on_up=self._connected,
            on_answers=self._answered,
            on_down=self._disconnected,
            on_room=self._send,
            retry_interval=retry_interval,
        )
        self._sent: deque[tuple[int, int]] = deque()  # batches with facts that aren't kept
        self._number = 0
        self._scarce: set[str] = set()  # of what is recorded and hasn't ended
        self._waiting = 0
        self._finish_by = inf
        self._sending_is_due = False
        self._flush_is_due = False
        self._was_connected = False
        self._is_ending = False
        self._has_said_bye = False
        self._all_kept: asyncio.Future[None] | None = None

    @property
    def queue_length(self) -> int:
        """The number of starts and facts that aren't known to be written."""
        return self._waiting + len(self._facts)

    async def open(self) -> None:
        """Connect to the writer process, and make the journal.

        Raises:
            DatabaseAwayError, SpoolError: the recorder can't be used.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if not await self._link.open(OPEN_S):
                raise DatabaseAwayError(
                    f"The process that writes the records can't be used: {self._link.reason}."
                )
            await asyncio.to_thread(self._journal.open)
        except BaseException:
            await self._link.close()
            raise

    async def start(self, start: InterceptionStart) -> tuple[int, ...]:
        """Return once the row is committed: what was used before, by check of its reservation.

        Cancelled meanwhile, the interception ends.

        Raises:
            RecordingFailedError: it can't be committed, and the request must not go upstream.
            BudgetExceededError: its reservation isn't allowed, and it isn't recorded.
        """
        if self._is_ending or self.stats.refuses or not self._has_room_for(start.initiator_id):
            self.stats.starts_refused += 1
            raise RecordingFailedError
        began = self._clock.monotonic()
        committed: asyncio.Future[tuple[int, ...]] = self._loop.create_future()
        self._waiting += 1
        self._starts.put(Waiting(start, committed), began)
        self._send_soon()
        try:
            used = await committed
        except asyncio.CancelledError:
            self._give_up(start, committed, self._clock.monotonic() - began)
            raise
        finally:
            self._waiting -= 1
        self.stats.start_waits.observe((), self._clock.monotonic() - began)
        return used

    def record(self, *facts: Fact, initiator_id: str = "") -> None:
        """Queue facts of an interception whose start is committed; never waits, loses nothing.

        They are in the journal when it returns, so that no kill takes them either; a prompt is
        within a turn of the event loop.
        """
        if self._takes(facts):
            self._queue(facts, initiator_id)

    async def close(self) -> None:
        """Have all written that is queued, and stop. What isn't stays in the journal."""
        if self._closed:
            return
        self._is_ending = True
        self._send()
        if (self._facts or self._starts.are_asked) and self._link.is_up:
            self._all_kept = self._loop.create_future()
            left = max(min(CLOSE_S, self._finish_by - self._clock.monotonic()), _LAST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._all_kept
        await self._link.close()
        self._starts.close()
        self._starts.refuse_all()
        self._closed = True
        if self._facts:
            self._leave_to_journal()
        else:
            self._journal.remove()
        self._journal.close()

    def finish_by(self, seconds: float) -> None:
        """Let the writer have no more time than that, in what is still to be written."""
        self._finish_by = self._clock.monotonic() + seconds

    def _has_room_for(self, initiator_id: str) -> bool:
        return self._facts.has_room_for(initiator_id, self.queue_length, self._queue_limit)

    def _queue(self, facts: Sequence[Fact], initiator_id: str = "") -> None:
        self._facts.put(facts, initiator_id)
        self._outbox.put(facts)
        if self._is_awaited(facts):
            self._send()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_later(self._linger, self._flush)

    def _is_awaited(self, facts: Sequence[Fact]) -> bool:
        """Whether a request to a sibling may depend on them as soon as their client has its answer.

        Such are what an end leaves of a budget that is nearly used up, and the call whose result
        comes next.
        """
        awaited = False
        for fact in facts:
            if isinstance(fact, ToolUsageRecord):
                awaited = awaited or fact.provider_tool_call_id is not None
            elif isinstance(fact, InterceptionEnd):
                if fact.interception_id in self._scarce:
                    self._scarce.discard(fact.interception_id)
                    awaited = True
            elif isinstance(fact, StoredObjectRecord | BackgroundRecord):
                awaited = True
        return awaited

    def _flush(self) -> None:
        self._flush_is_due = False
        self._send()

    def _send_soon(self) -> None:
        """At the end of this turn of the loop, with all starts of it."""
        if not self._sending_is_due:
            self._sending_is_due = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Send what is queued, facts before starts, unless the writer has to catch up."""
        self._sending_is_due = False
        link = self._link
        while link.is_up and not link.waiting and (self._starts.are_unsent or self._outbox):
            if (facts := self._outbox.take()) is None:
                return
            self._send_batch(() if self._outbox else self._starts.take(), facts)
        if self._is_ending and not self._has_said_bye and link.is_up and not self._outbox:
            self._has_said_bye = True
            link.send(Bye())

    def _send_batch(self, waiting: Sequence[Waiting], facts: list[Fact]) -> None:
        if not waiting and not facts:
            return
        self._number += 1
        if facts:
            self._sent.append((self._number, len(facts)))
        is_urgent = any(isinstance(fact, StoredObjectRecord) for fact in facts)
        try:
            self._link.send(Batch(self._number, [one.start for one in waiting], facts, is_urgent))
        except UnencodableError:
            waiting, facts = sendable(waiting, facts, self.stats)
            self._link.send(Batch(self._number, [one.start for one in waiting], facts, is_urgent))
        if waiting:
            self._starts.asked(self._number, waiting)

    def _connected(self, refuses: bool) -> None:
        if self._was_connected:
            logger.info("The process that writes the records is there again")
        self._was_connected = True
        self.stats.database_away, self.stats.stalled = refuses, False
        self._sent.clear()
        self._outbox.reset(self._facts.all())
        self._send()

    def _disconnected(self, reason: str) -> None:
        """Refuse all starts: those that were sent may be committed, or may not."""
        logger.error(
            "Requests are refused until the process that writes the records is back: {}", reason
        )
        self.stats.database_away = True
        self._starts.refuse_all()
        self._tell_if_kept()

    def _answered(self, answers: Answers) -> None:
        stats = self.stats
        if stats.stalled:
            stats.stalled = False
            logger.info("The process that writes the records answers again")
        stats.database_away = answers.refuses
        for settled in answers.settled:
            for start, used in self._starts.settle(settled):
                if start.reservation is not None and _is_scarce(start.reservation, used):
                    self._scarce.add(start.id)
                self._tell(start)
        kept = 0
        while self._sent and self._sent[0][0] <= answers.taken:
            kept += self._sent.popleft()[1]
        if kept:
            self._keep(kept)
        self._tell_if_kept()

    def _keep(self, count: int) -> None:
        """The first facts are committed, or spooled."""
        if self._on_record is not None:
            for fact in self._facts.all()[:count]:
                self._tell(fact)
        self._facts.drop(count)
        self._taken += count
        self._journal.release(self._taken)

    def _tell(self, record: Record) -> None:
        if self._on_record is None:
            return
        try:
            self._on_record(record)
        except Exception as error:  # noqa: BLE001 - the record is stored, whatever the callback does
            logger.error("A record could not be logged: {}", type(error).__name__)

    def _tell_if_kept(self) -> None:
        if self._all_kept is None or self._all_kept.done():
            return
        if not self._link.is_up or not (self._facts or self._starts.are_asked):
            self._all_kept.set_result(None)

    def _give_up(
        self,
        start: InterceptionStart,
        committed: asyncio.Future[tuple[int, ...]],
        elapsed: float,
    ) -> None:
        """End a start that is no longer waited for, once it is known to be committed."""
        end = given_up_end(start, elapsed)
        if committed.cancelled():
            self._starts.give_up(end)
        elif committed.exception() is None:
            self.record(end)


def _is_scarce(reservation: Reservation, used: Sequence[int]) -> bool:
    """Whether so little is left of a budget that others may wait for what this leaves of it."""
    wanted = PLENTY * reservation.amount
    return any(
        spent + wanted > check.cap for spent, check in zip(used, reservation.checks, strict=True)
    )
