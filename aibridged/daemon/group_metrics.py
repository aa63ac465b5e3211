"""Metrics of this process, or of all workers of which it is one."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from aibridged.daemon.workers.series import (
    GROUP_METRICS,
    LAST_METRICS,
    METRICS,
    Parts,
    Series,
    packed,
    slices_of,
    unpacked,
)
from aibridged.daemon.workers.siblings import Siblings
from aibridged.observe.metric import Across, Kind
from aibridged.observe.metric_table import METRICS as TABLE
from aibridged.observe.process_readings import ROWS, process_readings
from aibridged.observe.series import Distributions, Numbers, Reading
from aibridged.transport.time_slices import TimeSlices
from aibridged.wire.outline import Steps
from aibridged.wire.outline import run as at_once

WITHIN_S = 8.0
"""For the answers of all; Prometheus waits for 10 s."""

_ROWS = {row.name: row for row in (*TABLE, *ROWS.values())}  # process_* with their worker


class GroupMetrics:
    """Reads what `own` says of this process, and what its `siblings` say of theirs."""

    def __init__(
        self, own: Callable[[], Sequence[Reading]], siblings: Siblings, slices: TimeSlices
    ) -> None:
        self._own = own
        self._slices = slices
        self._siblings = siblings
        siblings.on(METRICS, self._told)

    @property
    def is_whole(self) -> bool:
        """Whether there are no siblings, so that the process's own metrics are the daemon's."""
        return self._siblings.count == 1

    async def read(self) -> Sequence[Reading]:
        """The metrics of all.

        Raises:
            ChannelError: the supervisor doesn't answer. What only this process says would be less
                than before.
        """
        if self.is_whole:
            return self._own()
        parts = await self._siblings.ask_supervisor(GROUP_METRICS, gives=Parts, within=WITHIN_S)
        return await self._slices.run(readings_of(parts), "metrics of all")

    def tell_last(self) -> None:
        """Tell the supervisor what it keeps of this process."""
        self._siblings.tell_supervisor(LAST_METRICS, at_once(self._packed()))

    async def _told(self, _: object) -> Parts:
        return await self._slices.run(self._packed(), "metrics")

    def _packed(self) -> Steps[Parts]:
        return parts_of([*self._own(), *process_readings(str(self._siblings.slot))])


def parts_of(readings: Iterable[Reading]) -> Steps[Parts]:
    """Readings as the supervisor is told them."""
    return packed(series for each in readings for series in _series_of(each))


def readings_of(parts: Parts) -> Steps[list[Reading]]:
    """Readings from what the supervisor tells."""
    found: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for part in parts:
        series = unpacked(part)
        if series.name in _ROWS:
            found.setdefault(series.name, {}).update(series.values)
        yield
    readings: list[Reading] = []
    for name, values in found.items():
        row = _ROWS[name]
        if row.kind is Kind.HISTOGRAM:
            readings.append(Distributions(row, values))
            continue
        numbers: dict[tuple[str, ...], float] = {}
        for some in slices_of(values):
            numbers.update((labels, value) for labels, [value] in some.items())
            yield
        readings.append(Numbers(row, numbers))
    return readings


def _series_of(reading: Reading) -> Iterator[Series]:
    row = reading.row
    grows = row.kind is not Kind.GAUGE
    across = Across.SUM if grows else row.across
    if isinstance(reading, Distributions):
        for lists in slices_of(reading.values):
            yield Series(row.name, across, grows, {at: [*each] for at, each in lists.items()})
    else:
        for some in slices_of(reading.values):
            yield Series(row.name, across, grows, {at: [float(n)] for at, n in some.items()})
