"""The lane to Redis: one connection, which takes all that waits in one batch, one at a time.

A batch has `DEADLINE_S`. One without an answer by then opens the circuit to Redis: whatever waits
is answered with None at once, and so is all else, until an attempt in the background has succeeded.
So only those requests wait for a server that is away that were under way, and no longer than that;
where it is slow, one may wait for the batch before its own, too.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from loguru import logger

from aibridged.limits.redis_script import Batch, Leave, Operation, decode, encode
from aibridged.limits.redis_session import Server, Session, reason_of

DEADLINE_S = 0.05
BEAT_S = 1.0
"""A replica renews its lease so often, and notices so that an idle connection is lost."""
TOO_MANY_BEATS = 60
"""After so many beats with too many replicas that is warned of: new ones may replace old ones."""
REPORT_S, ROOMY_REPORT_S = 0.005, 0.1
"""How long what was given back may wait for something else to be sent along with it; the latter
while at most half of all slots are in use."""
MOST_AT_ONCE = 128
"""Operations in a batch: the script takes about a millisecond for them."""
MOST_WAITING = 10_000
MOST_REASONS = 5
"""Reasons of one outage that are logged, each of them once."""
_LAST_LOOK_S = 0.002
_BACKOFF_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.0)

Answer = int | list[tuple[str, int]]


class Holdings(NamedTuple):
    """What this replica holds at the moment of a batch. `more` says that some didn't fit in."""

    limit: int
    held: int
    people: Sequence[tuple[str, int]]
    more: bool


class _Waiting(NamedTuple):
    operation: Operation
    answered: asyncio.Future[Answer | None] | None


class Holder:
    """Who knows what the replica holds."""

    def holdings(self, operations: Sequence[Operation], *, all: bool) -> Holdings:
        """What it holds as a batch of these begins; `all`: whether it has changed or not."""
        raise NotImplementedError

    def settle(self, operation: Operation, answer: Answer) -> None:
        """Count what an operation was granted, before anything else is sent."""
        raise NotImplementedError

    def unsettled(self, holdings: Holdings, operations: Sequence[Operation]) -> None:
        """Tell again what was in a batch whose fate is unknown."""
        raise NotImplementedError


class Lane:
    """Sends operations to Redis. `is_up` says whether it is there, `seen` how many processes share
    the limits at present, of `expected` ones.

    Each replica has so many `workers`, each of which has a lane. For the event loop only.
    """

    def __init__(self, server: Server, replicas: int, holder: Holder, workers: int = 1) -> None:
        self.replica = os.urandom(8).hex()
        self.is_up = False
        self.reason = "it hasn't been asked yet"
        self.outages = 0
        self._server = server
        self.replicas = replicas
        self.seen, self.expected = 1, replicas * workers
        self._holder = holder
        self._number = 0
        self._waiting: deque[_Waiting] = deque()
        self._wanted = asyncio.Event()
        self._reporting: asyncio.TimerHandle | None = None
        self._is_roomy = self._reports_soon = False
        self._failures = 0
        self._told: set[str] = set()
        self._was_up = self._warned = False
        self._beats_too_many = 0

    def ask(self, operation: Operation) -> asyncio.Future[Answer | None] | None:
        """Have an operation done, and its answer; None: Redis is away."""
        if not self.is_up or len(self._waiting) >= MOST_WAITING:
            return None
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(operation, answered))
        self._wanted.set()
        return answered

    def tell(self, operation: Operation) -> None:
        """Have an operation done some time soon, if Redis is there."""
        if self.is_up and len(self._waiting) < MOST_WAITING:
            self._waiting.append(_Waiting(operation, None))
            self._wanted.set()

    def report(self, *, soon: bool = True) -> None:
        """Have it told what this replica holds, `soon` even where there is room."""
        if self.is_up and (self._reporting is None or (soon and not self._reports_soon)):
            self._stop_reporting()
            self._reports_soon = soon or not self._is_roomy
            delay = REPORT_S if self._reports_soon else ROOMY_REPORT_S
            self._reporting = asyncio.get_running_loop().call_later(delay, self._wanted.set)

    def _stop_reporting(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
            self._reporting = None

    async def leave(self) -> None:
        """Give back what this replica holds, before it ends; `run` is to be cancelled then."""
        if (left := self.ask(Leave())) is not None:
            await left

    async def run(self) -> None:
        """Keep a connection, until cancelled."""
        while True:
            try:
                session = await self._server.connect()
                try:
                    await self._serve(session)
                finally:
                    await session.close()
            except self._server.failures as error:
                self._down(error)
            await asyncio.sleep(_BACKOFF_S[min(self._failures, len(_BACKOFF_S)) - 1])

    async def _serve(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        await self._exchange(session, all=True)
        self._up()
        beat_at = loop.time() + BEAT_S
        while True:
            beat = loop.call_at(beat_at, self._wanted.set)
            await self._wanted.wait()
            beat.cancel()
            self._wanted.clear()
            beats = loop.time() >= beat_at
            if beats:
                beat_at = loop.time() + BEAT_S
            await self._exchange(session, all=beats)
            if beats:
                self._look_for_too_many()

    async def _exchange(self, session: Session, *, all: bool) -> None:
        self._stop_reporting()
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
        operations = [each.operation for each in taken]
        holdings = self._holder.holdings(operations, all=all)
        self._number += 1
        batch = Batch(
            self.replica,
            self._number,
            self.expected,
            holdings.limit,
            holdings.held,
            holdings.people,
            operations,
        )
        try:
            async with deadline(DEADLINE_S):
                answer = await session.evaluate(encode(batch))
                self._is_roomy, answers, self.seen = decode(answer, operations)
        except BaseException:
            self._holder.unsettled(holdings, operations)
            _answer_none(taken)
            raise
        for each, answer in zip(taken, answers, strict=True):
            if each.answered is None or not each.answered.cancelled():
                self._holder.settle(each.operation, answer)
                if each.answered is not None:
                    each.answered.set_result(answer)
            else:
                self.report()  # its asker has gone, and what it was granted is free
        if self._waiting or holdings.more:
            self._wanted.set()

    def _up(self) -> None:
        self.is_up = True
        self._failures = 0
        if self._told:
            self._told.clear()
            logger.info("Redis is back at {}: limits are shared again", self._server.place)
        elif not self._was_up:
            logger.info(
                "Limits are shared by Redis at {}, --aibridge-replicas is {}",
                self._server.place,
                self.replicas,
            )
        self._was_up = True

    def _look_for_too_many(self) -> None:
        """Warn once of more replicas than the setting says, if that lasts: not of a restart."""
        self._beats_too_many = self._beats_too_many + 1 if self.seen > self.expected else 0
        if self._beats_too_many == TOO_MANY_BEATS and not self._warned:
            self._warned = True
            logger.warning(
                "{} processes share limits by Redis at {}, but --aibridge-replicas {} makes {}: set"
                " it to the number of replicas, or their shares without Redis are too large",
                self.seen,
                self._server.place,
                self.replicas,
                self.expected,
            )

    def _down(self, error: BaseException) -> None:
        """Answer all that waits. What is over at the first attempt to reconnect isn't logged."""
        self.outages += self.is_up
        self.is_up = False
        self.reason = reason_of(error)
        self._failures += 1
        waiting, self._waiting = self._waiting, deque()
        _answer_none(waiting)
        if self._failures > 1:
            self._tell_reason()

    def _tell_reason(self) -> None:
        if self.reason in self._told or len(self._told) == MOST_REASONS:
            return
        if self._told:
            logger.warning("Redis is still away at {} ({})", self._server.place, self.reason)
        else:
            logger.warning(
                "Redis is away at {} ({}): this replica goes on with its share of the limits",
                self._server.place,
                self.reason,
            )
        self._told.add(self.reason)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """TimeoutError after so long, and not because this process was busy for as long.

    What has arrived by then is read first: a loop runs what is due before it looks for data.
    """
    loop = asyncio.get_running_loop()
    handles: list[asyncio.Handle] = []

    def look() -> None:
        handles.append(loop.call_later(_LAST_LOOK_S, after_that))

    def after_that() -> None:
        handles.append(loop.call_soon(lambda: scope.reschedule(loop.time())))

    handles.append(loop.call_later(seconds, look))
    try:
        async with asyncio.timeout(None) as scope:
            yield
    finally:
        for handle in handles:
            handle.cancel()


def _answer_none(waiting: Sequence[_Waiting] | deque[_Waiting]) -> None:
    for each in waiting:
        if each.answered is not None and not each.answered.done():
            each.answered.set_result(None)
