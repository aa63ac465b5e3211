"""Writes the records of a group of workers: takes their batches, and answers once they are kept.

All starts that are there are committed together, whichever worker they are from. A worker that
sends what isn't a frame loses its connection; one that reads nothing loses it, too, once
`MAX_UNREAD` waits for it; and while more than `queue_limit` records wait to be written, no worker
is read from.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from loguru import logger
from msgspec.structs import force_setattr

from aibridged.records.group_recorder import GroupRecorder
from aibridged.records.jobs import Admission, BudgetExceededError, RecordingFailedError, Waiting
from aibridged.records.remote_frames import (
    PROTOCOL,
    Answers,
    Batch,
    Bye,
    FromWorker,
    Hello,
    Refusal,
    Settled,
    Welcome,
    decode_from_worker,
    framed,
    results_of,
)
from aibridged.records.remote_socket import FrameSocket
from aibridged.tasks import Tasks

PLACES = 256
"""Connections that are served at the same time."""
MAX_UNREAD = 1024 * 1024
"""Bytes of answers that wait for a worker."""
QUEUE_LIMIT = 20_000
LOOK_S = 0.05
"""How often it is looked whether there is room again, or the database, while there is none."""
ADOPT_S = 1.0
"""Between two attempts to end what a dead worker has left open."""

Outcome = Admission | RecordingFailedError


class RecordServer:
    """Serves the workers that connect to a listening socket, from the event loop.

    The recorder's journal tells `released` what the recorder has kept; `is_living` knows whether
    there is a process with a recorder.
    """

    def __init__(
        self,
        is_living: Callable[[int], bool],
        *,
        queue_limit: int = QUEUE_LIMIT,
        adopt_every: float = ADOPT_S,
    ) -> None:
        self._is_living = is_living
        self._queue_limit = queue_limit
        self._adopt_every = adopt_every
        self.is_empty = asyncio.Event()
        """Whether no worker is connected."""
        self.is_empty.set()
        self._members: set[Member] = set()
        self._leaving: set[Member] = set()  # their connections are lost, and not their starts
        self._away: set[int] = set()  # recorders without a connection
        self._one_is_away = asyncio.Event()
        self._queued: deque[tuple[Member, int, int]] = deque()  # batches with facts, in their order
        self._released = 0
        self._is_full = False
        self._is_watching = False
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()

    def serve(self, listening: socket.socket, recorder: GroupRecorder) -> None:
        """Accept connections, for the recorder, which is open."""
        self.recorder = recorder
        listening.setblocking(False)
        self._tasks.start(self._accept(listening), "workers' connections")
        self._tasks.start(self._keep_adopting(), "what dead workers have left")

    async def close(self) -> None:
        """End all connections, after the answers that are due."""
        await self._tasks.cancel()
        for member in [*self._members]:
            member.close()
        self._members.clear()

    def released(self, count: int) -> None:
        """Of all facts that were recorded, the first `count` are kept. From any thread."""
        self._loop.call_soon_threadsafe(self._tell_taken, count)

    def received(self, member: "Member", batch: Batch) -> None:
        """Record what a worker has sent."""
        if batch.facts:
            self._queued.append((member, batch.number, len(batch.facts)))
            self.recorder.record(*batch.facts)
            if batch.is_urgent:
                self.recorder.flush()
        if batch.starts:
            self.recorder.submit(member.places(batch))
        elif not batch.facts:  # none could be sent
            self._queued.append((member, batch.number, 0))
            self._tell_taken(self._released)
        if not self._is_full and self.recorder.queue_length > self._queue_limit:
            self._is_full = True
            for each in self._members:
                each.socket.pause()
            self._loop.call_later(LOOK_S, self._look_for_room)

    def greeted(self, recorder_id: int) -> str | None:
        """Why a recorder can't have this connection; None: it has it from now on."""
        others = [*self._members, *self._leaving]
        if any(each.recorder_id == recorder_id for each in others):
            return "what it has sent before isn't settled yet"
        self._away.discard(recorder_id)
        return None

    def lost(self, member: "Member", reason: str) -> None:
        """A connection has ended."""
        self._members.discard(member)
        if not self._members:
            self.is_empty.set()
        if member.pending:
            self._leaving.add(member)
        if member.recorder_id is None:
            return
        if not member.has_left:
            logger.warning("A worker's connection for its records has ended: {}", reason)
        self._away.add(member.recorder_id)
        self._one_is_away.set()

    def is_settled(self, member: "Member") -> None:
        """All starts of a connection are settled."""
        self._leaving.discard(member)

    def refuses(self) -> bool:
        """Whether starts are refused now; the workers are told as soon as they aren't any more."""
        refuses = self.recorder.stats.refuses
        if refuses and not self._is_watching:
            self._is_watching = True
            self._loop.call_later(LOOK_S, self._look_whether_it_refuses)
        return refuses

    def _look_whether_it_refuses(self) -> None:
        if self.recorder.stats.refuses:
            self._loop.call_later(LOOK_S, self._look_whether_it_refuses)
            return
        self._is_watching = False
        for member in [*self._members]:
            member.answer()

    def _look_for_room(self) -> None:
        if self.recorder.queue_length > self._queue_limit:
            self._loop.call_later(LOOK_S, self._look_for_room)
            return
        self._is_full = False
        for each in self._members:
            each.socket.resume()

    def _tell_taken(self, count: int) -> None:
        queued = self._queued
        while queued and self._released + queued[0][2] <= count:
            member, number, facts = queued.popleft()
            self._released += facts
            member.taken(number)

    async def _keep_adopting(self) -> None:
        """End what dead workers have left open, soon after their connections have ended.

        A process holds its journal until it has ended altogether, and one that lives comes back.
        """
        while True:
            await self._one_is_away.wait()
            dead = {each for each in self._away if not self._is_living(each)}
            try:
                if dead:
                    await self.recorder.adopt()
            except RecordingFailedError:
                dead = set()
            self._away -= dead
            if not self._away:
                self._one_is_away.clear()
            else:
                await asyncio.sleep(self._adopt_every)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(listening)
            except OSError as error:
                logger.error("A worker can't connect: {}", error.strerror)
                await asyncio.sleep(ADOPT_S)
                continue
            if len(self._members) >= PLACES:
                connection.close()
                continue
            member = Member(self, connection)
            self._members.add(member)
            self.is_empty.clear()
            if self._is_full:
                member.socket.pause()


class Member:
    """One worker's connection."""

    def __init__(self, server: RecordServer, connection: socket.socket) -> None:
        self.recorder_id: int | None = None
        self.pending = 0
        self.is_lost = False
        self.has_left = False
        self._server = server
        self._taken = 0
        self._settled: list[Settled] = []
        self._is_due = False
        self._loop = asyncio.get_running_loop()
        self.socket = FrameSocket(connection, self._received, self._lose)

    def places(self, batch: Batch) -> Sequence[Waiting]:
        """The starts of a batch, with the places that are told what becomes of them."""
        self.pending += 1
        waited = _Batch(self, batch.number, len(batch.starts))
        for start in batch.starts:
            force_setattr(start, "recorder_id", self.recorder_id)
        return [Waiting(start, _Place(waited, at)) for at, start in enumerate(batch.starts)]

    def settled(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Answer a batch with starts."""
        self.pending -= 1
        if not self.pending:
            self._server.is_settled(self)
        self._settled.append(Settled(number, results_of(outcomes)))
        self._answer_soon()

    def taken(self, number: int) -> None:
        """All facts up to those of a batch are kept."""
        self._taken = number
        self._answer_soon()

    def close(self) -> None:
        """End the connection, after the answers that are due."""
        self.answer()
        self.is_lost = True
        self.socket.close()

    def _answer_soon(self) -> None:
        if not self._is_due and not self.is_lost:
            self._is_due = True
            self._loop.call_soon(self.answer)

    def answer(self) -> None:
        """Tell what is settled and kept, and whether starts are refused."""
        self._is_due = False
        if self.is_lost or self.recorder_id is None:
            return
        settled, self._settled = self._settled, []
        self.socket.send(framed(Answers(settled, self._taken, self._server.refuses())))
        if self.socket.waiting > MAX_UNREAD:
            self._drop("it doesn't read what it is answered")

    def _received(self, frame: memoryview) -> None:
        message: FromWorker = decode_from_worker(frame)
        if isinstance(message, Batch):
            if self.recorder_id is None:
                raise ValueError("a batch comes before its hello")
            self._server.received(self, message)
        elif isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Bye):
            self.has_left = True
            self._server.recorder.flush()

    def _greet(self, hello: Hello) -> None:
        if self.recorder_id is not None:
            raise ValueError("it says hello again")
        if hello.protocol != PROTOCOL:
            reason: str | None = "it is of another release: restart all of them"
        else:
            reason = self._server.greeted(hello.recorder_id)
        if reason is not None:
            self.socket.send(framed(Refusal(reason)))
            return
        self.recorder_id = hello.recorder_id
        self.socket.send(framed(Welcome(self._server.refuses())))

    def _drop(self, reason: str) -> None:
        self.socket.close()
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        self.is_lost = True
        self._server.lost(self, reason)


class _Batch:
    """The starts of a batch until all are settled."""

    __slots__ = ("_count", "_member", "_number", "outcomes")

    def __init__(self, member: Member, number: int, count: int) -> None:
        self._member = member
        self._number = number
        self.outcomes: dict[int, Outcome] = {}
        self._count = count

    def settle(self, at: int, outcome: Outcome) -> None:
        """Note what became of one of them, once."""
        self.outcomes[at] = outcome
        if len(self.outcomes) == self._count:
            outcomes = self.outcomes
            self._member.settled(self._number, [outcomes[each] for each in range(self._count)])


class _Place:
    """See `jobs.Place`."""

    __slots__ = ("_at", "_batch")

    def __init__(self, batch: _Batch, at: int) -> None:
        self._batch = batch
        self._at = at

    def done(self) -> bool:
        return self._at in self._batch.outcomes

    def set_result(self, result: tuple[int, ...]) -> None:
        self._batch.settle(self._at, result)

    def set_exception(self, error: Exception) -> None:
        self._batch.settle(
            self._at, error if isinstance(error, BudgetExceededError) else RecordingFailedError()
        )
