"""Adding up: by labels, into buckets, and never into more series than a row allows."""

from aibridged.observe.labels import OTHER
from aibridged.observe.metric import Kind, Metric
from aibridged.observe.series import CounterSeries, HistogramSeries

COUNTER = Metric("n_total", Kind.COUNTER, "N.", ("provider", "model"), most=2)
HISTOGRAM = Metric("s", Kind.HISTOGRAM, "S.", ("model",), buckets=(1, 5), most=1)


def test_counts_add_up_by_label():
    series = CounterSeries(COUNTER)
    series.add(("p", "a"))
    series.add(("p", "a"), 2)
    series.add(("p", "b"), 5)
    assert series.read().values == {("p", "a"): 3, ("p", "b"): 5}


def test_a_count_of_zero_makes_a_series():
    series = CounterSeries(COUNTER)
    series.add(("p", "a"), 0)
    assert series.read().values == {("p", "a"): 0}


def test_a_metric_without_labels_is_there_from_the_start():
    assert CounterSeries(Metric("n_total", Kind.COUNTER, "N.")).read().values == {(): 0}
    observed = HistogramSeries(Metric("s", Kind.HISTOGRAM, "S.", buckets=(1, 5)))
    assert observed.read().values == {(): [0, 0, 0, 0]}


def test_what_is_over_the_number_is_counted_as_other_with_what_is_known_of_it():
    series = CounterSeries(COUNTER)
    for provider, model in (("p", "a"), ("p", "b"), ("p", "c"), ("q", "d"), ("p", "e")):
        series.add((provider, model))
    assert series.read().values == {
        ("p", "a"): 1,
        ("p", "b"): 1,
        ("p", OTHER): 2,
        ("q", OTHER): 1,
    }


def test_series_that_are_there_go_on_over_the_number():
    series = CounterSeries(COUNTER)
    for model in ("a", "b", "c", "a"):
        series.add(("p", model))
    assert series.read().values["p", "a"] == 2


def test_a_value_falls_into_the_bucket_that_it_fits():
    series = HistogramSeries(HISTOGRAM)
    for value in (0.5, 1, 1.5, 5, 6):
        series.observe(("a",), value)
    assert series.read().values == {("a",): [2, 2, 1, 14]}


def test_observations_over_the_number_are_other():
    series = HistogramSeries(HISTOGRAM)
    for model in ("a", "b", "c"):
        series.observe((model,), 0.5)
    assert series.read().values == {("a",): [1, 0, 0, 0.5], (OTHER,): [2, 0, 0, 1]}


def test_what_was_read_stays_as_it_was():
    counts, observed = CounterSeries(COUNTER), HistogramSeries(HISTOGRAM)
    counts.add(("p", "a"))
    observed.observe(("a",), 1)
    before = counts.read().values, observed.read().values
    counts.add(("p", "a"))
    observed.observe(("a",), 1)
    assert before == ({("p", "a"): 1}, {("a",): [1, 0, 0, 1]})
