"""The spans of time that usage is summed up by: hours, days and months of UTC.

A time range is covered by as few of them as can be: by the months that are summed up and wholly in
it, the rest by days, and the rest of these by hours. Days and months are also summed up by fewer
keys, and so in fewer rows, which are read where they have what is asked.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from aibridged.records.schema import (
    summarised_spans,
    usage_days,
    usage_days_by,
    usage_hours,
    usage_months,
    usage_months_by,
)

HOUR = timedelta(hours=1)
MAX_RUNS = 16
"""Runs of summarised spans that are used, of each length, the longest ones. The gaps between them
are read from shorter spans, and at last from the interceptions, each by two queries."""

Range = tuple[datetime | None, datetime | None]
"""From the first to before the second; None is without an end."""


def hour_of(at: datetime) -> datetime:
    """The hour that a time is in, by its beginning."""
    return at.replace(minute=0, second=0, microsecond=0)


def _day_of(at: datetime) -> datetime:
    return hour_of(at).replace(hour=0)


def _month_of(at: datetime) -> datetime:
    return _day_of(at).replace(day=1)


class Span(NamedTuple):
    """A length of time that usage is summed up by; `of` gives the beginning of the one of a time.

    Its `table` tells by what. `made_of` are the ones, no longer and by no fewer keys, that it is
    summed up of: those of hours are the interceptions.
    """

    name: str
    of: Callable[[datetime], datetime]
    longest: timedelta
    table: sa.Table
    made_of: "Span | None" = None

    def end(self, start: datetime) -> datetime:
        """The beginning of the next one."""
        return self.of(start + self.longest)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Those from the first one on, which begins at `start`, to before `end`."""
        while start < end:
            yield start
            start = self.end(start)


def _initials(by: str) -> str:
    return "".join(word[0] for word in by.split("_"))


HOURS = Span("hour", hour_of, HOUR, usage_hours)
_DAY, _MONTH = timedelta(days=1), timedelta(days=31)
DAYS = Span("day", _day_of, _DAY, usage_days, HOURS)
MONTHS = Span("month", _month_of, _MONTH, usage_months, DAYS)
DAYS_BY = {
    by: Span(f"day_{_initials(by)}", _day_of, _DAY, table, DAYS)
    for by, table in usage_days_by.items()
}
MONTHS_BY = {
    by: Span(f"month_{_initials(by)}", _month_of, _MONTH, table, DAYS_BY[by])
    for by, table in usage_months_by.items()
}
SPANS = (*MONTHS_BY.values(), MONTHS, *DAYS_BY.values(), DAYS, HOURS)
"""The longest first, and of these, those with the fewest rows."""


class Run(NamedTuple):
    """Summarised spans without a gap."""

    span: Span
    start: datetime
    end: datetime


def spans_of(times: Iterable[datetime]) -> Iterator[tuple[Span, datetime]]:
    """The spans that times are in, always in the same order."""
    known = sorted({at.astimezone(UTC) for at in times})
    for span in SPANS:
        for start in sorted(set(map(span.of, known))):
            yield span, start


def covering(
    connection: sa.Connection, spans: Sequence[Span], wanted: Range
) -> tuple[Sequence[Run], Sequence[Range]]:
    """The summarised spans that cover a time range, and what they don't cover.

    Of the `spans`, those that are rather read are first.
    """
    runs: list[Run] = []
    rest = [wanted]
    for span in spans:
        found = longest_runs(span, _summarised(connection, span, rest))
        rest = list(_without(rest, found))
        runs += found
    return runs, rest


def _summarised(
    connection: sa.Connection, span: Span, within: Sequence[Range]
) -> Iterable[datetime]:
    """The spans that are summed up and wholly in one of the ranges, in order."""
    start = summarised_spans.c.starts_at
    ranges = []
    for first, end in within:
        bounds: list[sa.ColumnElement[bool]] = [sa.true()]
        if first is not None:
            bounds.append(start >= first)
        if end is not None:
            bounds.append(start < span.of(end.astimezone(UTC)))
        ranges.append(sa.and_(*bounds))
    if not ranges:
        return ()
    statement = sa.select(start).where(
        summarised_spans.c.span == span.name,
        summarised_spans.c.is_dirty == sa.false(),
        sa.or_(*ranges),
    )
    return connection.scalars(statement.order_by(start))


def longest_runs(span: Span, starts: Iterable[datetime]) -> Sequence[Run]:
    """The longest runs of spans without a gap, in order."""
    runs: list[Run] = []
    for start in starts:
        end = span.end(start)
        if runs and runs[-1].end == start:
            runs[-1] = runs[-1]._replace(end=end)
        else:
            runs.append(Run(span, start, end))

    def length(run: Run) -> timedelta:
        return run.end - run.start

    longest = sorted(runs, key=length, reverse=True)[:MAX_RUNS]
    return sorted(longest, key=lambda run: run.start)


def _without(ranges: Iterable[Range], runs: Sequence[Run]) -> Iterator[Range]:
    """The ranges less the runs, each of which is in one of them; both are in order."""
    for start, end in ranges:
        for run in runs:
            if _is_in(run, start, end):
                if start is None or start < run.start:
                    yield start, run.start
                start = run.end
        if not runs or start is None or end is None or start < end:
            yield start, end


def _is_in(run: Run, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or start <= run.start) and (end is None or run.end <= end)
