"""Which time an overview is of, and what it is compared with."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.api.filters import BadFilterError
from aibridged.api.overview_range import MAX_DAYS, read_range
from aibridged.records.query_results import Filter

NOW = datetime(2026, 3, 10, 14, 37, 5, tzinfo=UTC)


def at(day, hour=0, minute=0, second=0):
    return datetime(2026, 3, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "start", "points", "last", "before", "first_whole_day"),
    [
        ("", at(9, 15), 24, at(10, 14), at(8, 15), at(10)),
        ("day", at(9, 15), 24, at(10, 14), at(8, 15), at(10)),
        ("week", at(4), 7, at(10), at(4) - timedelta(days=7), at(4)),
        ("month", at(1) - timedelta(days=20), 30, at(10), at(1) - timedelta(days=50), None),
    ],
)
def test_periods_until_now(period, start, points, last, before, first_whole_day):
    asked = read_range({"period": period}, Filter(), NOW)
    assert (asked.start, asked.end) == (start, NOW)
    assert (asked.times[0], asked.times[-1], len(asked.times)) == (start, last, points)
    assert asked.before == (before, NOW - (start - before))
    assert asked.whole_days == (first_whole_day or start)


@pytest.mark.parametrize(
    ("start", "end", "points", "step"),
    [
        (at(8, 1, 30), at(8, 1, 40), 1, "hour"),
        (at(7), at(10), 72, "hour"),
        (at(7), at(10, 0, 0, 1), 4, "day"),
        (at(7, 23, 59), at(9, 0, 1), 26, "hour"),
        (at(1), None, 10, "day"),
        (at(10) - timedelta(days=184), at(10), 184, "day"),
        (at(10) - timedelta(days=185), at(10), 7, "month"),
    ],
)
def test_own_ranges(start, end, points, step):
    asked = read_range({}, Filter(started_after=start, started_before=end), NOW)
    assert (asked.start, asked.end, asked.step) == (start, end or NOW, step)
    assert len(asked.times) == points
    assert asked.before == (start - (asked.end - start), start)


def test_a_range_within_a_day_is_of_that_day():
    asked = read_range({}, Filter(started_after=at(8, 1), started_before=at(8, 2)), NOW)
    assert asked.whole_days == at(8)


@pytest.mark.parametrize(
    ("given", "start", "end", "said"),
    [
        ({"period": "year"}, None, None, "There are day, week, month"),
        ({"period": "own"}, None, None, "There are day, week, month"),
        ({"period": "day"}, at(1), None, "mutually exclusive"),
        ({}, None, at(1), "needs started_after"),
        ({}, at(2), at(2), "empty"),
        ({}, NOW, None, "empty"),
        ({}, NOW - timedelta(days=MAX_DAYS, seconds=1), None, f"longer than {MAX_DAYS} days"),
    ],
)
def test_ranges_that_are_none(given, start, end, said):
    with pytest.raises(BadFilterError, match=said):
        read_range(given, Filter(started_after=start, started_before=end), NOW)
