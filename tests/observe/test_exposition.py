"""The text that Prometheus gets, read back by prometheus_client's own parsers."""

import gzip

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from aibridged.observe.exposition import render
from aibridged.observe.metric import Kind, Metric, Names
from aibridged.observe.metric_table import METRICS
from aibridged.observe.series import Distributions, Numbers

READINGS = (
    Numbers(Metric("n_total", Kind.COUNTER, "N.", ("model",)), {('a"b\\c',): 3}),
    Numbers(Metric("g", Kind.GAUGE, "G."), {(): 0.5}),
    Distributions(
        Metric("s_seconds", Kind.HISTOGRAM, "S.", ("model",), buckets=(0.1, 2)),
        {("a",): [1, 2, 4, 9]},
    ),
)
SAMPLES = {
    ("n_total", ("model", 'a"b\\c')): 3,
    ("g",): 0.5,
    ("s_seconds_bucket", ("le", "0.1"), ("model", "a")): 1,
    ("s_seconds_bucket", ("le", "2.0"), ("model", "a")): 3,
    ("s_seconds_bucket", ("le", "+Inf"), ("model", "a")): 7,
    ("s_seconds_count", ("model", "a")): 7,
    ("s_seconds_sum", ("model", "a")): 9,
}


def samples(families):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.startswith("process_")
    }


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", plain),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8", plain),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            openmetrics,
        ),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept, content_type, parse):
    body, headers = render(READINGS, Names.BOTH, accept, "identity")
    assert headers["Content-Type"] == content_type
    assert "Content-Encoding" not in headers
    assert samples(parse(body.decode())) == SAMPLES


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (Names.NEW, {"coder_ai_gateway_x_total"}),
        (Names.OLD, {"coder_aibridged_x_total"}),
        (Names.BOTH, {"coder_ai_gateway_x_total", "coder_aibridged_x_total"}),
    ],
)
def test_coders_metrics_have_the_names_that_are_asked_for(names, expected):
    numbers = Numbers(Metric("coder_ai_gateway_x_total", Kind.COUNTER, "X."), {(): 3})
    own = Numbers(Metric("aibridged_x_total", Kind.COUNTER, "X."), {(): 4})
    body, _ = render((numbers, own), names, "", "")
    found = samples(plain(body.decode()))
    assert found == {**{(name,): 3 for name in expected}, ("aibridged_x_total",): 4}


def test_it_is_compressed_for_whoever_takes_that():
    body, headers = render(READINGS, Names.BOTH, "", "deflate, gzip;q=1.0")
    assert headers["Content-Encoding"] == "gzip"
    assert samples(plain(gzip.decompress(body).decode())) == SAMPLES


def test_the_process_tells_of_itself():
    body, _ = render((), Names.BOTH, "", "")
    assert b"\nprocess_cpu_seconds_total " in body


def test_the_table_declares_what_the_process_tells_in_the_same_words():
    """They come from prometheus_client, whatever the table says."""
    text = render((), Names.BOTH, "", "")[0].decode()
    told = {(each.name, each.documentation) for each in plain(text)}
    rows = [row for row in METRICS if row.name.startswith("process_")]
    assert told == {(row.name.removesuffix("_total"), row.help) for row in rows}
