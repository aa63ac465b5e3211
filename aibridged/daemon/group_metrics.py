"""Metrics of this process, or of all workers of which it is one."""

from collections.abc import Callable, Sequence

from aibridged.daemon.workers.series import GROUP_METRICS, LAST_METRICS, METRICS, Series
from aibridged.daemon.workers.siblings import Siblings
from aibridged.observe.metric import Across, Kind
from aibridged.observe.metric_table import METRICS as TABLE
from aibridged.observe.process_readings import ROWS, process_readings
from aibridged.observe.series import Distributions, Numbers, Reading

WITHIN_S = 8.0
"""For the answers of all; Prometheus waits for 10 s."""

_ROWS = {row.name: row for row in (*TABLE, *ROWS.values())}  # process_* with their worker


class GroupMetrics:
    """Reads what `own` says of this process, and what its `siblings` say of theirs."""

    def __init__(self, own: Callable[[], Sequence[Reading]], siblings: Siblings) -> None:
        self._own = own
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
        series = await self._siblings.ask_supervisor(
            GROUP_METRICS, gives=list[Series], within=WITHIN_S
        )
        return [_reading(each) for each in series if each.name in _ROWS]

    def tell_last(self) -> None:
        """Tell the supervisor what it keeps of this process."""
        self._siblings.tell_supervisor(LAST_METRICS, self._series())

    async def _told(self, _: object) -> list[Series]:
        return self._series()

    def _series(self) -> list[Series]:
        readings = [*self._own(), *process_readings(str(self._siblings.slot))]
        return [series_of(each) for each in readings]


def _reading(series: Series) -> Reading:
    row = _ROWS[series.name]
    if row.kind is Kind.HISTOGRAM:
        return Distributions(row, series.values)
    return Numbers(row, {labels: value for labels, [value] in series.values.items()})


def series_of(reading: Reading) -> Series:
    """A reading as the supervisor is told it."""
    row = reading.row
    grows = row.kind is not Kind.GAUGE
    if isinstance(reading, Distributions):
        values = {labels: [*numbers] for labels, numbers in reading.values.items()}
    else:
        values = {labels: [float(value)] for labels, value in reading.values.items()}
    return Series(row.name, Across.SUM if grows else row.across, grows, values)
