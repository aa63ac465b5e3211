"""Metrics of several workers as one: sums that never go back, also when a worker dies."""

import operator
from collections.abc import Callable, Iterable, Mapping

import msgspec

from aibridged.observe.metric import Metric
from aibridged.observe.metric_table import METRICS as TABLE
from aibridged.observe.series import bounded

METRICS = "metrics"
"""To a worker, which answers with a list of `Series`."""
LAST_METRICS = "last metrics"
"""From a worker that is about to end: the same list."""
GROUP_METRICS = "metrics of all"
"""To the supervisor, which answers with the list for the whole group."""

Values = dict[tuple[str, ...], list[float]]

_ROWS = {row.name: row for row in TABLE}

_TOGETHER: dict[str, Callable[[float, float], float]] = {
    "sum": operator.add,
    "max": max,
    "min": min,
}


class Series(msgspec.Struct, array_like=True):
    """The series of one metric by their labels' values, each one number or a histogram's.

    `across` says what those of several workers are together: their sum, max or min. `grows` says
    that they only grow as long as their worker lives.
    """

    name: str
    across: str
    grows: bool
    values: Values


class GroupSeries:
    """The metrics of workers by their slots, as each has told them last.

    What only grows has at most as many series in a group as `rows` allow a process: those whose
    labels are told first. Others are counted under `other` for good, so that none goes back.
    """

    def __init__(self, rows: Mapping[str, Metric] = _ROWS) -> None:
        self._rows = rows
        self._latest: dict[int, list[Series]] = {}
        self._dead: list[Series] = []
        self._seen: dict[str, set[tuple[str, ...]]] = {}

    def told(self, slot: int, series: list[Series]) -> None:
        """Note what the slot's worker says."""
        self._latest[slot] = [self._bounded(each) for each in series]

    def died(self, slot: int) -> None:
        """Keep what only grows, as the slot's worker has told it last; the rest ends with it."""
        last = self._latest.pop(slot, [])
        self._dead = together([self._dead, [each for each in last if each.grows]])

    def all(self) -> list[Series]:
        """Those of all, of the dead ones, too."""
        return together([*self._latest.values(), self._dead])

    def _bounded(self, series: Series) -> Series:
        row = self._rows.get(series.name)
        if row is None or not series.grows:
            return series
        seen, values = self._seen.setdefault(series.name, set()), Values()
        for labels, numbers in series.values.items():
            counted = labels if labels in seen else bounded(row, labels, seen)
            seen.add(counted)
            _add(values, {counted: numbers}, operator.add)
        return Series(series.name, series.across, series.grows, values)


def together(groups: Iterable[list[Series]]) -> list[Series]:
    """Each metric once, with the values of all under each set of labels."""
    found: dict[str, Series] = {}
    for group in groups:
        for each in group:
            if (known := found.get(each.name)) is None:
                found[each.name] = Series(each.name, each.across, each.grows, dict(each.values))
            else:
                _add(known.values, each.values, _TOGETHER[each.across])
    return [*found.values()]


def _add(to: Values, values: Values, add: Callable[[float, float], float]) -> None:
    for labels, numbers in values.items():
        known = to.get(labels)
        to[labels] = numbers if known is None else list(map(add, known, numbers))
