"""The children of a supervisor: started, watched, replaced when they die, asked all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import msgspec
from loguru import logger

from aibridged.clock import Clock
from aibridged.config.resolution import StartError
from aibridged.counted import counted
from aibridged.daemon.runtime import SLACK_S
from aibridged.daemon.workers.backoff import Backoff
from aibridged.daemon.workers.channel import (
    DEADLINE_S,
    ChannelClosedError,
    ChannelError,
    NoAnswerError,
    RefusedError,
)
from aibridged.daemon.workers.child import WORKER, WRITER
from aibridged.daemon.workers.messages import (
    BEGIN,
    FAILED,
    PING,
    RELOAD,
    STARTED,
    STOP,
    Begin,
    InForce,
    Pulse,
)
from aibridged.daemon.workers.process import Child, how_it_ended, spawn
from aibridged.daemon.workers.siblings import ASK_OTHERS, Question
from aibridged.daemon.workers.sockets import GroupSockets
from aibridged.daemon.workers.writer_socket import has_writer
from aibridged.tasks import Tasks

T = TypeVar("T")

PING_EVERY_S = 5.0
"""Between two pings, each of which has as long for its answer."""
FROZEN_AFTER = 3
"""Pings in a row without an answer, after which a child is killed: within 20 s."""
STARTING_AFTER = 12
"""The same for one that is only starting, and imports its libraries."""
RELOAD_S = 30.0
"""Time to put settings in force."""

Answerer = Callable[[Child, Any], Awaitable[object]]


class GroupFailedError(StartError):
    """A child can't start; the message is its own."""


@dataclass(slots=True)
class Slot:
    """A child's place, which its successors take over."""

    kind: str
    number: int
    child: Child | None = None
    pulse: Pulse | None = None
    restarts: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    missed: int = 0
    """Pings in a row that it didn't answer."""
    answered: float | None = None
    """When it answered a ping last, by the monotonic clock."""

    @property
    def name(self) -> str:
        return f"{self.kind.capitalize()} {self.number}"


class Group:
    """Keeps `count` workers running, once started, and on SQLite the process that writes for them.

    `descriptors` are inherited by each child, and named in its `Begin`. `when_dead` are called with
    the slot of a child whose process has ended, before its successor is started.
    """

    def __init__(self, count: int, in_force: InForce, sockets: GroupSockets, clock: Clock) -> None:
        self.in_force = in_force
        self.descriptors: dict[str, int] = {}
        self.when_dead: list[Callable[[Slot], None]] = []
        self.has_failed = False
        """Whether a child's exit status at the end was another than 0."""
        self.slots = [Slot(WORKER, number) for number in range(1, count + 1)]
        self.writers = [Slot(WRITER, 1)] if has_writer(in_force.settings, count) else []
        self._sockets = sockets
        self._clock = clock
        self._answerers: dict[str, tuple[Answerer, Any]] = {
            ASK_OTHERS: (self._ask_others, Question),
            STARTED: (_has_started, object),
            FAILED: (_has_failed, str),
        }
        self._tasks = Tasks()

    @property
    def serving(self) -> list[Child]:
        """The children that serve."""
        return _serving(self.slots)

    def tell_all(self, kind: str) -> None:
        """Tell the workers, and the process that writes for them."""
        for slot in self.all_slots:
            if slot.child is not None:
                slot.child.channel.tell(kind)

    @property
    def all_slots(self) -> list[Slot]:
        """All slots, in the order in which they are needed."""
        return [*self.writers, *self.slots]

    @property
    def answers(self) -> bool:
        """Whether some child serves, and answers."""
        return bool(_serving(slot for slot in self.slots if not slot.missed))

    def on(self, kind: str, answerer: Answerer, takes: Any = object) -> None:
        """Have `answerer` answer requests of children; to be set before they start."""
        self._answerers[kind] = answerer, takes

    async def ask_all(
        self, kind: str, payload: object = None, *, gives: Any = object, within: float = DEADLINE_S
    ) -> list[tuple[Child, Any]]:
        """The answers of those children that serve and answer in time."""
        return await _ask(self.serving, kind, payload, gives, within)

    async def ask_writer(
        self, kind: str, *, gives: Any, within: float = DEADLINE_S
    ) -> list[tuple[Child, Any]]:
        """The answer of the process that writes the workers' records, if there is one."""
        return await _ask(_serving(self.writers), kind, None, gives, within)

    async def _ask_others(self, asker: Child, question: Question) -> list[msgspec.Raw]:
        others = [each for each in self.serving if each is not asker]
        answers = await _ask(others, question.kind, question.payload, msgspec.Raw, question.within)
        return [answer for _, answer in answers]

    async def put_in_force(self, in_force: InForce) -> None:
        """Have all children use these settings; one that can't is replaced by one that does."""
        self.in_force = in_force
        await asyncio.gather(*map(self._put_in_force, _serving(self.all_slots)))

    async def _put_in_force(self, child: Child) -> None:
        try:
            await child.channel.ask(RELOAD, self.in_force.packed(), within=RELOAD_S)
        except ChannelError as error:
            logger.error("{} can't reload, and is replaced: {}", child.name, error)
            child.kill()

    async def start(self) -> None:
        """Start all: the first alone, so that what is made once is made once.

        Raises:
            GroupFailedError: one can't start; those that did are ended.
        """
        for slot in self.all_slots:
            slot.child = await self._spawn(slot)
        try:
            for slot in self.writers:
                await self._begin(slot)
            first, *others = self.slots
            await self._begin(first, announces=True)
            await asyncio.gather(*(self._begin(slot) for slot in others))
        except GroupFailedError:
            await self.stop(0.0)
            raise
        for slot in self.all_slots:
            self._tasks.start(self._keep(slot), f"keeper of {slot.name}")

    async def stop(self, within: float) -> None:
        """End all, each within so many seconds for its requests and some for what is recorded."""
        await self._tasks.cancel()
        await self._end(self.slots, within)
        await self._end(self.writers, 0.0)
        self._sockets.close()

    async def _end(self, slots: Sequence[Slot], within: float) -> None:
        children = [slot.child for slot in slots if slot.child is not None]
        for child in children:
            child.channel.tell(STOP)
        endings = [self._tasks.start(each.ended(), f"end of {each.name}") for each in children]
        if endings:
            _, late = await asyncio.wait(endings, timeout=within + SLACK_S)
            if late:
                logger.error("{} had to be killed", counted(len(late), slots[0].kind))
                for child in children:
                    child.kill()
            self.has_failed |= any(await asyncio.gather(*endings))

    def kill(self) -> None:
        """End all at once."""
        for slot in self.all_slots:
            if slot.child is not None:
                slot.child.kill()

    async def _spawn(self, slot: Slot) -> Child:
        own: AbstractContextManager[dict[str, list[int]]] = nullcontext({})
        with self._sockets.for_one() if slot.kind == WORKER else own as sockets:
            inherited = [*chain(*sockets.values()), *self.descriptors.values()]
            child = await spawn(slot.kind, slot.number, inherited, self._clock.monotonic())
        child.sockets = sockets
        for kind, (answerer, takes) in self._answerers.items():
            child.channel.on(kind, partial(answerer, child), takes)
        await child.channel.start()
        return child

    async def _begin(self, slot: Slot, *, announces: bool = False) -> None:
        """Have the slot's child start, and wait until it serves.

        Raises:
            GroupFailedError: it can't, or has died.
        """
        child, in_force = slot.child, self.in_force
        assert child is not None
        begin = Begin(
            kind=slot.kind,
            slot=slot.number,
            count=len(self.slots),
            in_force=in_force.packed(),
            sockets=child.sockets,
            descriptors=self.descriptors,
            announces=announces,
        )
        child.channel.tell(BEGIN, begin)
        self._tasks.start(self._watch(slot, child), f"watch over {slot.name}")
        closed = self._tasks.start(child.channel.closed.wait(), f"channel of {slot.name}")
        await asyncio.wait((child.started, closed), return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        if child.has_served:
            if in_force is not self.in_force:  # they have changed meanwhile
                await self._put_in_force(child)
            return
        status = await child.ended()
        raise GroupFailedError(
            child.started.result() or ""
            if child.started.done()
            else f"{slot.name} {how_it_ended(status)} before it served."
        )

    async def _keep(self, slot: Slot) -> None:
        """Replace the slot's child whenever it has ended."""
        while True:
            await asyncio.sleep(await self._pause_after_end(slot))
            slot.restarts += 1
            try:
                slot.child = await self._spawn(slot)
                await self._begin(slot)
            except OSError as error:
                logger.error("{} can't be started: {}", slot.name, error.strerror)
            except GroupFailedError as error:
                logger.error("{} can't start: {}", slot.name, error)
            else:
                logger.info("{} serves again, with pid {}", slot.name, slot.child.pid)

    async def _pause_after_end(self, slot: Slot) -> float:
        """How many seconds to wait with the successor of the slot's child, once that has ended."""
        child, ran = slot.child, 0.0
        how = "could not be started"
        if child is not None:
            status = await child.ended()
            ran = self._clock.monotonic() - child.began
            how = f"(pid {child.pid}) {how_it_ended(status)} after {ran:.1f} s"
            self._bury(slot)
            if child.has_served and not status:  # it was asked to end
                logger.warning("{} {}: it is started again at once", slot.name, how)
                return 0.0
        pause, ends = slot.backoff.pause(ran), slot.backoff.ends
        often = f", {ends} times in a row" if ends > 1 else ""
        when = f"in {pause:g} s" if pause else "at once"
        logger.error("{} {}{}: it is started again {}", slot.name, how, often, when)
        return pause

    def _bury(self, slot: Slot) -> None:
        slot.child = slot.pulse = slot.answered = None
        for tell in self.when_dead:
            tell(slot)

    async def _watch(self, slot: Slot, child: Child) -> None:
        """Kill a child that doesn't answer any more."""
        slot.missed = 0
        while slot.missed < (FROZEN_AFTER if child.serves else STARTING_AFTER):
            try:
                slot.pulse = await child.channel.ask(PING, gives=Pulse, within=PING_EVERY_S)
            except NoAnswerError:
                slot.missed += 1
                continue
            except ChannelClosedError:
                await asyncio.sleep(SLACK_S)  # to end, which it has begun
                child.kill()
                return
            except RefusedError:
                pass  # it has too much to answer, but does answer
            slot.missed, slot.answered = 0, self._clock.monotonic()
            await asyncio.sleep(PING_EVERY_S)
        logger.error(
            "{} (pid {}) has not answered for {:g} s: it is killed",
            slot.name,
            child.pid,
            slot.missed * PING_EVERY_S,
        )
        child.kill()


def _serving(slots: Iterable[Slot]) -> list[Child]:
    """The children of these slots that serve."""
    return [slot.child for slot in slots if slot.child is not None and slot.child.serves]


async def _ask(
    children: Sequence[Child], kind: str, payload: object, gives: Any, within: float
) -> list[tuple[Child, Any]]:
    async def ask(child: Child) -> tuple[Child, Any] | None:
        try:
            return child, await child.channel.ask(kind, payload, gives=gives, within=within)
        except ChannelError as error:
            logger.debug("{} has no answer to {}: {}", child.name, kind, error)
            return None

    answers = await asyncio.gather(*map(ask, children))
    return [each for each in answers if each is not None]


async def _has_started(child: Child, _: object) -> None:
    if not child.started.done():
        child.started.set_result(None)


async def _has_failed(child: Child, why: str) -> None:
    if not child.started.done():
        child.started.set_result(why)
