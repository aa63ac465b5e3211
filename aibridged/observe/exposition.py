"""Prometheus exposition formats, with content negotiation and compression."""

import gzip
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from aibridged.observe.metric import Kind, Names
from aibridged.observe.series import Distributions, Numbers, Reading

# The text repeats itself so much that a higher level gains nothing.
_GZIP_LEVEL = 1


class _Snapshot(Collector):
    """A collector of the snapshot, and prometheus_client's own metrics of the process, if asked."""

    def __init__(self, readings: Iterable[Reading], names: Names, *, with_process: bool) -> None:
        self._with_process = with_process
        self._readings = readings
        self._names = names

    def collect(self) -> Iterator[Family]:
        for reading in self._readings:
            for name in reading.row.shown_as(self._names):
                yield _family(reading, name)
        if self._with_process:
            yield from ProcessCollector(registry=None).collect()


def render(
    readings: Iterable[Reading],
    names: Names,
    accept: str,
    accept_encoding: str,
    *,
    with_process: bool = True,
) -> tuple[bytes, dict[str, str]]:
    """Render the body and its headers, as the request's headers ask for: OpenMetrics, gzip.

    `names` are those of Coder's metrics. A thousand series take some 10 ms, so this belongs in a
    thread.
    """
    encode, content_type = choose_encoder(accept)
    body = encode(_Snapshot(readings, names, with_process=with_process))
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if gzip_accepted(accept_encoding):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return body, headers


def _family(reading: Reading, name: str) -> Family:
    if isinstance(reading, Numbers):
        return _numbers(reading, name)
    return _distributions(reading, name)


def _numbers(reading: Numbers, name: str) -> Family:
    row = reading.row
    kind = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(name, row.help, labels=row.labels)
    for labels, value in reading.values.items():
        family.add_metric(labels, value)
    return family


def _distributions(reading: Distributions, name: str) -> Family:
    row = reading.row
    bounds = [*(str(float(bound)) for bound in row.buckets), "+Inf"]
    histogram = HistogramMetricFamily(name, row.help, labels=row.labels)
    for labels, (*counts, total) in reading.values.items():
        histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    return histogram
