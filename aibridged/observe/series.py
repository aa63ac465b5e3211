"""Time series of one counter or histogram.

A request adds to a dozen series, so adding is a dictionary lookup and a sum, without a lock: all of
it belongs to the event loop. Threads that render the numbers get a copy.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

import msgspec

from aibridged.observe.labels import OTHER
from aibridged.observe.metric import Metric

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of the row."""


class Numbers(msgspec.Struct, frozen=True):
    """A counter's or a gauge's series at one moment."""

    row: Metric
    values: Mapping[Labels, float]


class Distributions(msgspec.Struct, frozen=True):
    """A histogram's series at one moment.

    Each has the number of values per bucket, the number beyond the last one, and the sum of all.
    """

    row: Metric
    values: Mapping[Labels, Sequence[float]]


Reading = Numbers | Distributions

# Labels that become `other` once a metric has its most series; other labels have few values.
_OPEN = frozenset({"initiator_id", "model", "name", "server"})


class CounterSeries:
    """A counter by its labels."""

    def __init__(self, row: Metric) -> None:
        self._row = row
        self._counts: dict[Labels, float] = {} if row.labels else {(): 0.0}

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Add to a count; 0 creates the series, so that a first event is seen as a rise."""
        counts = self._counts
        try:
            counts[labels] += amount
        except KeyError:
            labels = bounded(self._row, labels, counts)
            counts[labels] = counts.get(labels, 0.0) + amount

    def read(self) -> Numbers:
        """A copy of the counts."""
        return Numbers(self._row, self._counts.copy())


class HistogramSeries:
    """A histogram by its labels: the number of observations per bucket, and their sum."""

    def __init__(self, row: Metric) -> None:
        self._row = row
        self._bounds = row.buckets
        self._blank = [0.0] * (len(row.buckets) + 2)
        self._observed: dict[Labels, list[float]] = {} if row.labels else {(): self._blank.copy()}

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value, in the unit of the metric's name."""
        observed = self._observed.get(labels)
        if observed is None:
            labels = bounded(self._row, labels, self._observed)
            observed = self._observed.setdefault(labels, self._blank.copy())
        observed[bisect_left(self._bounds, value)] += 1
        observed[-1] += value

    def read(self) -> Distributions:
        """A copy of the observations."""
        copies = {labels: observed.copy() for labels, observed in self._observed.items()}
        return Distributions(self._row, copies)


def bounded(row: Metric, labels: Labels, existing: Collection[Labels]) -> Labels:
    """The labels that a combination is counted under that isn't among the `existing` ones."""
    if len(existing) < row.most:
        return labels
    return tuple(
        OTHER if name in _OPEN else value for name, value in zip(row.labels, labels, strict=True)
    )
