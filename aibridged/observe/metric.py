"""Declaration of a metric. See `metric_table`."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What Prometheus calls the type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: `name` as queries say it, without the _bucket, _sum and _count of its series.

    `buckets` are upper bounds in the metric's unit. `most` is how many combinations of labels have
    series of their own; further ones are counted under `other`.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    most: int = 1000
