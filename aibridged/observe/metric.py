"""Declaration of a metric. See `metric_table`."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """Prometheus's type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """What the values of several workers are together; those of counters and histograms a sum."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


class Names(StrEnum):
    """Which names Coder's metrics have: its present ones, those before its renaming, or both."""

    NEW = "new"
    OLD = "old"
    BOTH = "both"


# The first that fits counts.
_OLD_PREFIXES = (
    ("coder_ai_gateway_proxy_", "coder_aibridgeproxyd_"),
    ("coder_ai_gateway_", "coder_aibridged_"),
)


class Metric(msgspec.Struct, frozen=True):
    """One row: `name` as in queries, without the _bucket, _sum and _count of its series.

    `buckets` are upper bounds in the metric's unit. `most` bounds the combinations of labels that
    have series of their own; further ones are counted under `other`. `across` is for gauges.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    most: int = 1000
    across: Across = Across.SUM

    def shown_as(self, names: Names) -> tuple[str, ...]:
        """The names under which the metric is exported."""
        old = _old(self.name)
        if old is None or names is Names.NEW:
            return (self.name,)
        return (old,) if names is Names.OLD else (self.name, old)


def _old(name: str) -> str | None:
    """The name that one of Coder's metrics had before."""
    for prefix, old in _OLD_PREFIXES:
        if name.startswith(prefix):
            return old + name.removeprefix(prefix)
    return None
