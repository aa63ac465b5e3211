"""A time range is covered by whole months, days and hours, as far as these are summed up."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records import schema
from aibridged.records.usage_spans import (
    DAYS,
    HOUR,
    HOURS,
    MAX_RUNS,
    MONTHS,
    SPANS,
    Run,
    covering,
    longest_runs,
    spans_of,
)

DAY = timedelta(days=1)


def at(month, day=1, hour=0, minute=0):
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def cover(database):
    """Covers a range, where January to April 9th, 6:00 is summed up but for some hours."""
    dirty = {at(2, 3, 4)}
    end = at(4, 9, 6)
    rows = [
        {
            "span": span.name,
            "starts_at": start,
            "is_dirty": any(start <= hour < span.end(start) for hour in dirty),
        }
        for span in SPANS
        for start in span.between(at(1), end)
        if span.end(start) <= end
    ]
    with database.engine.begin() as connection:
        connection.execute(schema.summarised_spans.insert(), rows)

    def cover(first, end, spans=(MONTHS, DAYS, HOURS)):
        with database.engine.connect() as connection:
            return covering(connection, spans, (first, end))

    return cover


def test_the_longest_come_first(cover):
    runs, rest = cover(None, None)
    assert runs == [
        Run(MONTHS, at(1), at(2)),
        Run(MONTHS, at(3), at(4)),
        Run(DAYS, at(2), at(2, 3)),
        Run(DAYS, at(2, 4), at(3)),
        Run(DAYS, at(4), at(4, 9)),
        Run(HOURS, at(2, 3), at(2, 3, 4)),
        Run(HOURS, at(2, 3, 5), at(2, 4)),
        Run(HOURS, at(4, 9), at(4, 9, 6)),
    ]
    assert rest == [(None, at(1)), (at(2, 3, 4), at(2, 3, 5)), (at(4, 9, 6), None)]


def test_only_what_is_wholly_wanted_is_used(cover):
    runs, rest = cover(at(2, 26, 22, 30), at(4, 2, 1, 1))
    assert runs == [
        Run(MONTHS, at(3), at(4)),
        Run(DAYS, at(2, 27), at(3)),
        Run(DAYS, at(4), at(4, 2)),
        Run(HOURS, at(2, 26, 23), at(2, 27)),
        Run(HOURS, at(4, 2), at(4, 2, 1)),
    ]
    assert rest == [(at(2, 26, 22, 30), at(2, 26, 23)), (at(4, 2, 1), at(4, 2, 1, 1))]
    assert cover(at(3), at(4)) == ([Run(MONTHS, at(3), at(4))], [])
    assert cover(at(3), at(4), (DAYS, HOURS)) == ([Run(DAYS, at(3), at(4))], [])
    assert cover(at(3), at(4), ()) == ([], [(at(3), at(4))])
    assert cover(at(3), at(3)) == ([], [(at(3), at(3))])


def test_each_is_made_of_what_tells_as_much():
    def keys(span):
        return {each.name for each in span.table.c}.intersection(schema.USAGE_KEYS)

    names = [span.name for span in SPANS]
    assert len(set(names)) == len({span.table.name for span in SPANS}) == len(SPANS)
    assert max(map(len, names)) <= schema.MAX_SPAN
    for span in SPANS:
        if span.made_of is not None:
            assert span.longest >= span.made_of.longest
            assert keys(span) <= keys(span.made_of)
            assert SPANS.index(span) < SPANS.index(span.made_of)


def test_many_gaps_are_read_with_what_is_between_them():
    first = at(1)
    hours = [first + number * HOUR for number in range(300) if number % 3]
    runs = longest_runs(HOURS, hours)
    assert len(runs) == MAX_RUNS
    assert runs == sorted(runs, key=lambda run: run.start)
    assert all(run.end - run.start == 2 * HOUR for run in runs)
    longest = longest_runs(HOURS, [first - 9 * HOUR, first - 8 * HOUR, first - 7 * HOUR, *hours])
    assert longest[0] == Run(HOURS, first - 9 * HOUR, first - 6 * HOUR)
    assert longest_runs(HOURS, ()) == []


def test_times_are_in_one_span_of_each_length():
    starts = {
        MONTHS.longest: (at(1), at(2)),
        DAYS.longest: (at(1, 31), at(2)),
        HOURS.longest: (at(1, 31, 23), at(2)),
    }
    assert list(spans_of([at(1, 31, 23, 59), at(2, 1, 0, 1), at(1, 31, 23)])) == [
        (span, start) for span in SPANS for start in starts[span.longest]
    ]
    assert MONTHS.end(at(2)) == at(3)
    assert MONTHS.end(at(12)) == at(12).replace(year=2027, month=1)
    assert DAYS.end(at(2, 28)) == at(3)
