"""What the supervisor answers for its whole group: its status and its metrics."""

import asyncio
import os
from collections.abc import Collection, Sequence
from typing import TypeVar

import msgspec

from aibridged import __version__
from aibridged.clock import Clock
from aibridged.daemon.status_report import Status, Worker
from aibridged.daemon.workers.child import WORKER
from aibridged.daemon.workers.group import Group, Slot
from aibridged.daemon.workers.group_status import GROUP_STATUS, GROUP_WORKERS, STATUS, together
from aibridged.daemon.workers.process import Child
from aibridged.daemon.workers.series import (
    GROUP_METRICS,
    LAST_METRICS,
    METRICS,
    GroupSeries,
    Parts,
    Series,
    packed,
)
from aibridged.observe.metric_table import WORKER_RESTARTS, WORKERS
from aibridged.transport.time_slices import TimeSlices, Turns
from aibridged.wire.outline import Steps
from aibridged.wire.outline import run as at_once

T = TypeVar("T")

STATUS_S = 2.0
"""For a worker's status."""
METRICS_S = 5.0
"""For a worker's metrics: of one that takes longer, those are told that it said last."""
_OF_WRITER = 0  # among the slots of workers


class Answers:
    """Answers the workers of `group`, which they ask on behalf of their clients."""

    def __init__(self, group: Group, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._began = clock.monotonic()
        self._series = GroupSeries()
        self._slices = TimeSlices(Turns(clock), clock)
        self._one_at_a_time = asyncio.Lock()  # of two answers of a worker, the later one counts
        group.on(GROUP_METRICS, self._metrics)
        group.on(GROUP_STATUS, self._status)
        group.on(GROUP_WORKERS, self._workers)
        group.on(LAST_METRICS, self._last_metrics, Parts)
        group.when_dead.append(self._died)

    async def status(self) -> Status:
        """The status of all: of those that answer in time, and that the others don't."""
        asked = await self._all(STATUS, gives=Status, within=STATUS_S)
        answers = [*asked[0], *asked[1]]
        answered = [child for child, _ in answers]
        workers = [self._worker(slot, answered) for slot in self._group.slots]
        writers = [self._worker(slot, answered) for slot in self._group.writers]
        status = together([told for _, told in answers], workers, writers)
        status.version = __version__
        status.state_dir = str(self._group.in_force.settings.state_dir)
        status.pid = os.getpid()
        status.uptime_s = round(self._clock.monotonic() - self._began, 1)
        return status

    async def status_document(self) -> bytes:
        """The same as JSON, for the status socket."""
        return msgspec.json.encode(await self.status())

    def _worker(self, slot: Slot, answered: Collection[Child] | None = None) -> Worker:
        """What there is in the slot; one that should have `answered`, and hasn't, is silent."""
        child = slot.child
        told = Worker(slot.name, slot.kind, restarts=slot.restarts, ends=slot.backoff.ends)
        told.state = _state(slot)
        if child is None:
            return told
        now = self._clock.monotonic()
        told.pid = child.pid
        told.uptime_s = round(now - child.began, 1)
        told.in_flight = slot.pulse.in_flight if slot.pulse is not None else 0
        if answered is not None and told.state == "serving" and child not in answered:
            told.state = "silent"
        if told.state == "silent":
            told.silent_s = round(now - (slot.answered or child.began), 1)
        return told

    async def _workers(self, _asker: Child, _: object) -> list[Worker]:
        return [self._worker(slot) for slot in self._group.all_slots]

    async def _status(self, _asker: Child, _: object) -> Status:
        return await self.status()

    async def _metrics(self, _asker: Child, _: object) -> Parts:
        async with self._one_at_a_time:
            endings = self._series.endings.copy()
            answers, writers_answers = await self._all(METRICS, gives=Parts, within=METRICS_S)
            told = [(child.slot, parts) for child, parts in answers]
            told += [(_OF_WRITER, parts) for _, parts in writers_answers]
            for slot, parts in told:
                await self._in_slices(self._series.told(slot, parts, endings[slot]))
            parts = await self._in_slices(self._series.all())
            return [*parts, *at_once(packed(_series_of(self._group.all_slots)))]

    async def _all(
        self, kind: str, *, gives: type[T], within: float
    ) -> tuple[list[tuple[Child, T]], list[tuple[Child, T]]]:
        """The answers of the workers, and of the writer: all are waited for at the same time."""
        workers, writers = await asyncio.gather(
            self._group.ask_all(kind, gives=gives, within=within),
            self._group.ask_writer(kind, gives=gives, within=within),
        )
        return workers, writers

    async def _in_slices(self, steps: Steps[T]) -> T:
        return await self._slices.run(steps, "metrics")

    async def _last_metrics(self, child: Child, parts: Parts) -> None:
        self._series.told_last(child.slot, parts)

    def _died(self, slot: Slot) -> None:
        self._series.died(slot.number if slot.kind == WORKER else _OF_WRITER)


def _state(slot: Slot) -> str:
    if slot.child is None:
        return "down"
    if not slot.child.serves:
        return "starting"
    return "silent" if slot.missed else "serving"


def _series_of(slots: Sequence[Slot]) -> list[Series]:
    """The metrics of the group itself."""
    counts: dict[tuple[str, ...], list[float]] = {}
    for slot in slots:
        for state, count in (("wanted", 1.0), ("serving", float(_state(slot) == "serving"))):
            [known] = counts.get((slot.kind, state), [0.0])
            counts[slot.kind, state] = [known + count]
    restarts: dict[tuple[str, ...], list[float]] = {
        (str(slot.number) if slot.kind == WORKER else slot.kind,): [float(slot.restarts)]
        for slot in slots
    }
    return [
        Series(WORKERS.name, WORKERS.across, False, counts),
        Series(WORKER_RESTARTS.name, WORKER_RESTARTS.across, True, restarts),
    ]
