"""`GET /overview`: usage over time, how it compares, and what was refused or has no price."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from aibridged.api import overview_shapes as shapes
from aibridged.api.filters import BadFilterError
from aibridged.api.overview_range import Range, Span, read_range
from aibridged.records.database import Connection
from aibridged.records.extent import record_begins
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.usage import find_usage
from aibridged.records.usage_over_time import (
    Series,
    find_series,
    find_unpriced,
    find_usual,
    total,
)
from aibridged.records.usage_refusals import counts_refusals, most_refused

DIMENSIONS = (
    UsageBy.MODEL,
    UsageBy.PROVIDER,
    UsageBy.GROUP,
    UsageBy.USER,
    UsageBy.CLIENT,
)
MOST_REFUSED = 20


def read_dimension(given: Mapping[str, str]) -> UsageBy:
    """Parse the query parameter `by`.

    Raises:
        BadFilterError: it is none of `DIMENSIONS`.
    """
    name = given.get("by") or UsageBy.MODEL
    if name not in DIMENSIONS:
        raise BadFilterError(f"{name!r} is not a dimension. There are {', '.join(DIMENSIONS)}.")
    return UsageBy(name)


def overview(query: Query, given: Mapping[str, str], wanted: Filter) -> shapes.Overview:
    """The overview that the query parameters ask for.

    Raises:
        BadFilterError: the period, the range or the dimension is none.
        QueryFailedError: it took too long, or the database is unavailable.
    """
    now, by = query.now(), read_dimension(given)
    asked = read_range(given, wanted, now)
    wanted = _within(wanted, asked.start, asked.end)
    times = asked.times
    keys = [shapes.key_of(at, asked.step) for at in times]
    with query.reading() as connection:
        first = record_begins(connection, wanted.owner)
        split, everything = find_series(connection, asked.step, by, wanted)
        return shapes.Overview(
            period=asked.span,
            started_after=asked.start,
            started_before=asked.end,
            step=shapes.STEPS[asked.step],
            by=by,
            times=[*times],
            total=shapes.figures(everything.total),
            before=_before(connection, asked, wanted, first),
            points=shapes.points(everything, keys),
            series=[shapes.series(each, keys) for each in split],
            today=_today(connection, asked, wanted, everything, first),
            refusals=_refusals(connection, asked, wanted),
            unpriced=[
                shapes.UnpricedUsage(provider=each.provider, model=each.model, count=each.number)
                for each in find_unpriced(connection, wanted)
            ],
            first_at=first,
        )


def _within(wanted: Filter, start: datetime, end: datetime) -> Filter:
    return msgspec.structs.replace(wanted, started_after=start, started_before=end)


def _before(
    connection: Connection, asked: Range, wanted: Filter, first: datetime | None
) -> shapes.Figures | None:
    start, end = asked.before
    if first is None or first > start:
        return None
    _, found = find_usage(connection, [], _within(wanted, start, end))
    return shapes.figures(found)


def _today(
    connection: Connection,
    asked: Range,
    wanted: Filter,
    everything: Series,
    first: datetime | None,
) -> shapes.Today | None:
    if asked.span is Span.OWN:
        return None
    midnight = asked.end.replace(hour=0, minute=0, second=0, microsecond=0)
    keys = {shapes.key_of(at, asked.step) for at in asked.times if at >= midnight}
    found = total(counts for key, counts in everything.at.items() if key in keys)
    usual = find_usual(connection, wanted, asked.end, first)
    return shapes.Today(
        since=midnight,
        figures=shapes.figures(found),
        usual=None if usual is None else shapes.usual(usual),
    )


def _refusals(connection: Connection, asked: Range, wanted: Filter) -> shapes.Refusals | None:
    if not counts_refusals([], wanted):
        return None
    start, end = asked.whole_days, asked.end
    last = (end - timedelta(microseconds=1)).date()
    days = (last - start.date() + timedelta(days=1)).days * timedelta(days=1)
    most, count = most_refused(connection, _within(wanted, start, end), MOST_REFUSED)
    _, before = most_refused(connection, _within(wanted, start - days, start), 1)
    return shapes.Refusals(
        first_day=start.date(),
        last_day=last,
        count=count,
        count_before=before,
        most=[
            shapes.RefusedPerson(reason=each.reason, user=each.user, count=each.number)
            for each in most
        ],
    )
