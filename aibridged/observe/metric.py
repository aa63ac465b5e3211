"""Declaration of a metric. See `metric_table`."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus's type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: `name` as in queries, without the _bucket, _sum and _count of its series.

    `buckets` are upper bounds in the metric's unit. `most` bounds the combinations of labels that
    have series of their own; further ones are counted under `other`.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    most: int = 1000
