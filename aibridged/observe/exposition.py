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

from aibridged.observe.metric import Kind
from aibridged.observe.series import Distributions, Numbers, Reading

# The text repeats itself so much that a higher level gains nothing.
_GZIP_LEVEL = 1


class _Snapshot(Collector):
    """A collector of the snapshot, and prometheus_client's own metrics of the process."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Family]:
        for reading in self._readings:
            yield _numbers(reading) if isinstance(reading, Numbers) else _distributions(reading)
        yield from ProcessCollector(registry=None).collect()


def render(
    readings: Iterable[Reading], accept: str, accept_encoding: str
) -> tuple[bytes, dict[str, str]]:
    """Render the body and its headers, as the request's headers ask for: OpenMetrics, gzip.

    A thousand series take some 10 ms, so this belongs in a thread.
    """
    encode, content_type = choose_encoder(accept)
    body = encode(_Snapshot(readings))
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if gzip_accepted(accept_encoding):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return body, headers


def _numbers(reading: Numbers) -> Family:
    row = reading.row
    kind = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(row.name, row.help, labels=row.labels)
    for labels, value in reading.values.items():
        family.add_metric(labels, value)
    return family


def _distributions(reading: Distributions) -> Family:
    row = reading.row
    bounds = [*(str(float(bound)) for bound in row.buckets), "+Inf"]
    histogram = HistogramMetricFamily(row.name, row.help, labels=row.labels)
    for labels, (*counts, total) in reading.values.items():
        histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    return histogram
