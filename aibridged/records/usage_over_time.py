"""Usage over time, split by one dimension: the series of a chart, and what they add up to.

Of the values of the dimension, those that cost most have a series each, and all others share one.
Times without usage are in none.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from statistics import median
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.records.filters import resolved
from aibridged.records.query_results import Filter, Usage, UsageBy
from aibridged.records.schema import TOKEN_COUNTS
from aibridged.records.usage import COUNTS, OVERLAPPING, made, stream_usage, summed
from aibridged.records.usage_parts import INTERCEPTIONS, Parts
from aibridged.records.usage_spans import HOUR, hour_of

SERIES = 8
"""That have a name."""
WEEKS, DAYS = 4, 14
"""So many days of the same weekday are what is usual; while there are none, so many days before."""
LEAST_DAYS = 3
MAX_UNPRICED = 20

_DAY = timedelta(days=1)
_COSTLIEST = ("cost_nanos", *TOKEN_COUNTS, "interceptions")
Counts = Mapping[str, int]
"""The numbers of `usage.COUNTS`."""
_Times = dict[str, Counts]


class Series(NamedTuple):
    """The usage of one value of the dimension, by time; that of all others has no `name`."""

    name: str | None
    at: Mapping[str, Counts]

    @property
    def total(self) -> Usage:
        return total(self.at.values())


class Usual(NamedTuple):
    """What is usual until this time of the day: the median of so many days.

    They are of the same weekday, or simply those before.
    """

    days: int
    same_weekday: bool
    cost_nanos: float
    interceptions: float
    failed: float
    tokens: float
    cached_share: float | None


class UnpricedModel(NamedTuple):
    """A model without a price, and how many of its token counts have no cost for that."""

    provider: str
    model: str
    number: int


def find_series(
    connection: sa.Connection, step: UsageBy, by: UsageBy, wanted: Filter
) -> tuple[Sequence[Series], Series]:
    """The series by hour or day, those that cost most first; and that of everything.

    In the latter an interception counts once, whatever models it used and groups it belongs to.
    """
    wanted = resolved(connection, wanted)
    most = [*connection.scalars(_costliest(connection, by, wanted))]
    found = summed(Parts(connection, [step, by], wanted), [step, by], wanted, apart=most)
    split: dict[str | None, _Times] = {}
    for time, name, *numbers in connection.execute(found):
        split.setdefault(name, {})[str(time)] = _counts(numbers)
    series = [Series(name, times) for name, times in split.items()]
    # Python's order is that of the database.
    series.sort(key=lambda each: each.name or "")
    series.sort(key=lambda each: _cost_of(each.total), reverse=True)
    series.sort(key=lambda each: each.name is None)
    everything = _added(split)
    if by in OVERLAPPING:
        # The tokens of a model are counted once; the people of a group may be in several.
        names = INTERCEPTIONS if by is UsageBy.MODEL else COUNTS
        whole = summed(Parts(connection, [step], wanted), [step], wanted, names)
        for time, *numbers in connection.execute(whole):
            so_far = everything.get(str(time), {})
            everything[str(time)] = {**so_far, **_counts(numbers, names)}
    return series, Series(None, everything)


def find_usual(
    connection: sa.Connection, wanted: Filter, now: datetime, first: datetime | None
) -> Usual | None:
    """What has usually been used by this time of a day (UTC); None while there are few days.

    The record begins at `first`. The hour that it is now counts in part, as far as it is over. The
    times that are `wanted` don't matter.
    """
    wanted = resolved(connection, wanted)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    age = (midnight - first) // _DAY if first is not None else 0
    same_weekday = age >= 7 * WEEKS
    if age < LEAST_DAYS:
        return None
    before = range(7, 7 * WEEKS + 1, 7) if same_weekday else range(1, min(age, DAYS) + 1)
    days = [_until(connection, wanted, midnight - number * _DAY, now) for number in before]

    def middle(name: str) -> float:
        return median(day[name] for day in days)

    shares = [share for day in days if (share := _cached_share(day)) is not None]
    return Usual(
        days=len(days),
        same_weekday=same_weekday,
        cost_nanos=middle("cost_nanos"),
        interceptions=middle("interceptions"),
        failed=middle("failed"),
        tokens=median(sum(day[name] for name in TOKEN_COUNTS) for day in days),
        cached_share=median(shares) if shares else None,
    )


def find_unpriced(connection: sa.Connection, wanted: Filter) -> Sequence[UnpricedModel]:
    """The models without a price, those with the most usage first."""
    by = [UsageBy.PROVIDER, UsageBy.MODEL]
    parts = Parts(connection, by, resolved(connection, wanted))
    each = sa.union_all(*parts.each(least="unpriced")).subquery()
    keys, count = [each.c[name] for name in by], sa.func.sum(each.c.unpriced)
    statement = sa.select(*keys, count.label("number")).group_by(*keys).having(count > 0)
    statement = statement.order_by(count.desc(), *keys).limit(MAX_UNPRICED)
    return [
        UnpricedModel(row.provider, row.model, int(row.number))
        for row in connection.execute(statement)
    ]


def _costliest(connection: sa.Connection, by: UsageBy, wanted: Filter) -> sa.Select[Any]:
    """The values that have a series: longer spans tell them than tell their times."""
    found = summed(Parts(connection, [by], wanted), [by], wanted, _COSTLIEST).subquery()
    order = [found.c[name].desc() for name in _COSTLIEST]
    return sa.select(found.c[by]).order_by(*order, found.c[by]).limit(SERIES)


def total(of: Iterable[Counts]) -> Usage:
    """What counts add up to."""
    each = [*of]
    return made({}, {name: sum(map(itemgetter(name), each)) for name in COUNTS})


def _counts(numbers: Iterable[Any], names: Iterable[str] = COUNTS) -> Counts:
    return dict(zip(names, map(int, numbers), strict=True))


def _cost_of(usage: Usage) -> tuple[int, ...]:
    tokens = (getattr(usage, name) for name in TOKEN_COUNTS)
    return usage.cost or 0, *tokens, usage.interceptions


def _added(split: Mapping[str | None, _Times]) -> _Times:
    added: dict[str, dict[str, int]] = {}
    for times in split.values():
        for time, counts in times.items():
            so_far = added.setdefault(time, dict.fromkeys(COUNTS, 0))
            for name in COUNTS:
                so_far[name] += counts[name]
    return {**added}


def _until(
    connection: sa.Connection, wanted: Filter, midnight: datetime, now: datetime
) -> Mapping[str, float]:
    """What was used on a day until this time of it."""
    over = (now - hour_of(now)) / HOUR
    end = midnight + (now.hour + 1) * HOUR
    of_day = msgspec.structs.replace(wanted, started_after=midnight, started_before=end)
    last = f"{end - HOUR:%Y-%m-%dT%H:00:00Z}"
    found: dict[str, float] = dict.fromkeys(("interceptions", "failed", "cost_nanos"), 0.0)
    found |= dict.fromkeys(TOKEN_COUNTS, 0.0)
    for usage in stream_usage(connection, [UsageBy.HOUR], of_day):
        part = over if usage.key == last else 1.0
        for name in found:
            number = usage.cost or 0 if name == "cost_nanos" else getattr(usage, name)
            found[name] += part * number
    return found


def _cached_share(of: Mapping[str, float]) -> float | None:
    read = of["cache_read_input_tokens"]
    given = of["input_tokens"] + read + of["cache_write_input_tokens"]
    return read / given if given else None
