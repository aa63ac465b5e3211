"""Axes have round numbers, labels that don't overlap, and a bounded number of points."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.ui.axes import (
    CHAR_WIDTH,
    bounded,
    group_size,
    moments,
    spread,
    ticks,
    time_labels,
    whole_ticks,
)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, [0, 1]),
        (-3, [0, 1]),
        (float("nan"), [0, 1]),
        (float("inf"), [0, 1]),
        (1, [0, 0.5, 1]),
        (0.003, [0, 0.001, 0.002, 0.003]),
        (4, [0, 1, 2, 3, 4]),
        (4.1, [0, 2, 4, 6]),
        (37.2, [0, 10, 20, 30, 40]),
        (98, [0, 50, 100]),
        (1_200_000, [0, 500_000, 1_000_000, 1_500_000]),
    ],
)
def test_ticks(most, expected):
    assert ticks(most) == pytest.approx(expected)


@given(st.floats(min_value=1e-9, max_value=1e18))
def test_ticks_reach_the_greatest_value_and_not_far_beyond(most):
    found = ticks(most)
    step = found[1]
    assert 2 <= len(found) <= 5
    assert found[-1] >= most * (1 - 1e-8)
    assert found[-1] - step < most * (1 + 1e-8)
    assert f"{step:.0e}"[0] in "125"


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, [0, 1]), (0.4, [0, 1]), (1, [0, 1]), (3, [0, 1, 2, 3]), (5, [0, 2, 4, 6])],
)
def test_what_is_counted_has_whole_ticks(most, expected):
    assert whole_ticks(most) == expected


@given(st.integers(0, 400), st.integers(1, 8))
def test_labels_do_not_overlap(count, length):
    places = [10 + 300 * (place + 0.5) / max(count, 1) for place in range(count)]
    shown = spread(["x" * length] * count, places)
    assert (count == 0) == (shown == [])
    for left, right in itertools.pairwise(shown):
        assert places[right] - places[left] >= length * CHAR_WIDTH


def test_times_are_told_below_and_in_full():
    times = [datetime(2026, 11, 30, hour, tzinfo=UTC) for hour in (0, 14)]
    assert time_labels(times, step="hour") == ["00:00", "14:00"]
    assert time_labels(times, step="day") == ["Nov 30", "Nov 30"]
    hours = [times[0] + timedelta(hours=hour) for hour in range(48)]
    labels = time_labels(hours, step="hour")
    assert [label for label in labels if label] == ["Nov 30", "Dec 1"]
    assert spread(labels, [float(place) for place in range(48)]) == [0]
    assert spread(labels, [8.0 * place for place in range(48)]) == [0, 24]
    assert moments(times, step="hour") == ["Mon, Nov 30, 00:00", "Mon, Nov 30, 14:00"]
    assert moments([times[0] + timedelta(days=1)], step="day") == ["Tue, Dec 1"]
    assert time_labels(times[:1], step="month") == ["Nov 2026"]
    assert moments(times[:1], step="month") == ["November 2026"]


def test_many_points_are_put_together():
    assert bounded([1, 2, None], 3, sum) == [1, 2, None]
    assert bounded([1, 2, 3, None, None, None, 7], 3, sum) == [6, None, 7]
    assert len(bounded([1.0] * 10_000, 400, sum)) == 400
    assert sum(bounded([1.0] * 10_001, 400, sum)) == 10_001
    assert [group_size(count, 400) for count in (0, 400, 401, 10_000)] == [1, 1, 2, 25]
