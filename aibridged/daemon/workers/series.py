"""Metrics of several workers as one: sums that never go back, also when a worker dies.

There may be tens of thousands of series, so they are told in parts, and computed part by part: the
generators here are for `transport.time_slices`.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

import msgspec

from aibridged.observe.metric import Metric
from aibridged.observe.metric_table import METRICS as TABLE
from aibridged.observe.series import bounded
from aibridged.wire.outline import Steps
from aibridged.wire.outline import run as at_once

METRICS = "metrics"
"""To a worker, which answers with `Parts`."""
LAST_METRICS = "last metrics"
"""From a worker that is about to end: the same."""
GROUP_METRICS = "metrics of all"
"""To the supervisor, which answers with those of the whole group."""

PART = 100
"""Series of a part: those of a histogram take some 0.2 ms to encode, decode or add up."""

K = TypeVar("K")
V = TypeVar("V")
Parts = list[bytes]
"""What a process tells: each is some `Series` of one metric, encoded."""
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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Series)


class GroupSeries:
    """The metrics of workers by their slots, as each has told them last.

    What only grows has at most as many series in a group as `rows` allow a process: those whose
    labels are told first. Others are counted under `other` for good, so that none goes back.
    """

    def __init__(self, rows: Mapping[str, Metric] = _ROWS) -> None:
        self.endings: Counter[int] = Counter()
        """How many of the slots' workers have told their last."""
        self._rows = rows
        self._latest: dict[int, list[Series]] = {}
        self._dead: list[Series] = []
        self._seen: dict[str, set[tuple[str, ...]]] = {}

    def told(self, slot: int, parts: Parts, ending: int) -> Steps[None]:
        """Note what the slot's worker says, unless it has ended since `endings` were so many."""
        series = []
        for part in parts:
            series.append(self._bounded(unpacked(part)))
            yield
        if self.endings[slot] == ending:
            self._latest[slot] = series

    def told_last(self, slot: int, parts: Parts) -> None:
        """Note the last that the slot's worker says."""
        at_once(self.told(slot, parts, self.endings[slot]))
        self.endings[slot] += 1

    def died(self, slot: int) -> None:
        """Keep what only grows, as the slot's worker has told it last; the rest ends with it."""
        self.endings[slot] += 1
        last = self._latest.pop(slot, [])
        grown = [each for each in last if each.grows]
        self._dead = at_once(together([self._dead, grown]))

    def all(self) -> Steps[Parts]:
        """Those of all, of the dead ones, too."""
        groups = [self._dead, *self._latest.values()]  # none of which is changed, but replaced
        series = yield from together(groups)
        return (yield from packed(part for each in series for part in _split(each)))

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


def together(groups: Iterable[list[Series]]) -> Steps[list[Series]]:
    """Each metric once, with the values of all under each set of labels."""
    found: dict[str, Series] = {}
    for group in groups:
        for each in group:
            if (known := found.get(each.name)) is None:
                found[each.name] = Series(each.name, each.across, each.grows, dict(each.values))
            else:
                _add(known.values, each.values, _TOGETHER[each.across])
            yield
    return [*found.values()]


def packed(series: Iterable[Series]) -> Steps[Parts]:
    """Encode series, each of which is a part, and is made when it is its turn."""
    parts = []
    for each in series:
        parts.append(_encoder.encode(each))
        yield
    return parts


def unpacked(part: bytes) -> Series:
    """The inverse of `packed`, for one part."""
    return _decoder.decode(part)


def _split(series: Series) -> Iterator[Series]:
    for values in slices_of(series.values):
        yield Series(series.name, series.across, series.grows, values)


def slices_of(values: Mapping[K, V]) -> Iterator[dict[K, V]]:
    """The mapping in parts; one that is empty is one part."""
    items = iter(values.items())
    for _ in range(0, max(1, len(values)), PART):
        yield dict(islice(items, PART))


def _add(to: Values, values: Values, add: Callable[[float, float], float]) -> None:
    for labels, numbers in values.items():
        known = to.get(labels)
        to[labels] = numbers if known is None else list(map(add, known, numbers))
