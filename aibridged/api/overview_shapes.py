"""JSON schemas of an overview: what was used over time, and how that compares."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal

import msgspec

from aibridged.api.overview_range import Span
from aibridged.api.shapes import CostLabel, Count, Dollars, Moment, Tokens, cost
from aibridged.core.money import dollars
from aibridged.records.query_results import Usage, UsageBy
from aibridged.records.schema import TOKEN_COUNTS
from aibridged.records.usage_over_time import Series, Usual
from aibridged.records.usage_parts import INTERCEPTIONS

_COUNTED = (*INTERCEPTIONS, *TOKEN_COUNTS)
_NOTHING: Mapping[str, int] = {}


class Figures(Tokens, kw_only=True):
    """Totals. `failed` are the interceptions that ended so.

    `cached_share` is the part of the input that was read from the cache. The cost is that of what
    has one; an unpriced one lacks some.
    """

    interceptions: Count
    failed: Count
    cached_share: float | None
    cost: Dollars | None
    cost_label: CostLabel | None


class Points(msgspec.Struct, kw_only=True):
    """The numbers at each of the overview's `times`, in their order."""

    interceptions: list[Count]
    failed: list[Count]
    input_tokens: list[Count]
    output_tokens: list[Count]
    cache_read_input_tokens: list[Count]
    cache_write_input_tokens: list[Count]
    cost: list[Dollars]


class UsageSeries(msgspec.Struct, kw_only=True):
    """The usage of one value of the dimension; `name` is null for all others together."""

    name: str | None
    total: Figures
    points: Points


class UsualFigures(msgspec.Struct, kw_only=True):
    """What is usual until this time of the day: the median of so many `days`.

    They are of the same weekday, or simply those before. The hour that it is now counts in part.
    """

    days: Count
    same_weekday: bool
    interceptions: float
    failed: float
    tokens: float
    cached_share: float | None
    cost: Dollars


class Today(msgspec.Struct, kw_only=True):
    """What was used since midnight (UTC), and what is usual: null while that isn't known."""

    since: Moment
    figures: Figures
    usual: UsualFigures | None


class RefusedPerson(msgspec.Struct, kw_only=True):
    """How often a person was refused something; `reason` is the code of the error."""

    reason: str
    user: str
    count: Count


class Refusals(msgspec.Struct, kw_only=True):
    """Requests that were refused for what a person may do, of whole days (UTC).

    `most` are the persons and reasons with the most. `count_before` is of as many days before.
    """

    first_day: date
    last_day: date
    count: Count
    count_before: Count
    most: list[RefusedPerson]


class UnpricedUsage(msgspec.Struct, kw_only=True):
    """A model without a price; `count` is how many of its usages have no cost for that."""

    provider: str
    model: str
    count: Count


Step = Literal["hour", "day", "month"]
STEPS: Mapping[UsageBy, Step] = {
    UsageBy.HOUR: "hour",
    UsageBy.DAY: "day",
    UsageBy.MONTH: "month",
}


class Overview(msgspec.Struct, kw_only=True):
    """Usage over time, in all and by one dimension.

    `times` are when each hour, day or month begins. `before` are the totals of the period before
    (until the same time of day), null where the record doesn't reach back so far, and `first_at` is
    when the record begins that the caller may see. `today` is null for a range of one's own,
    `refusals` is where the filter asks for what isn't known of them.
    """

    period: Span
    started_after: Moment
    started_before: Moment
    step: Step
    by: str
    times: list[Moment]
    total: Figures
    before: Figures | None
    points: Points
    series: list[UsageSeries]
    today: Today | None
    refusals: Refusals | None
    unpriced: list[UnpricedUsage]
    first_at: Moment | None


def figures(found: Usage) -> Figures:
    """Totals as the API has them."""
    same = {name: getattr(found, name) for name in Figures.__struct_fields__}
    return Figures(**{**same, **cost(found.cost, found.cost_label)})


def points(of: Series, keys: Sequence[str]) -> Points:
    """The numbers at the times that have these keys: nothing where there is no usage."""
    found = [of.at.get(key, _NOTHING) for key in keys]
    counts = {name: [each.get(name, 0) for each in found] for name in _COUNTED}
    return Points(**counts, cost=[dollars(each.get("cost_nanos", 0)) for each in found])


def series(found: Series, keys: Sequence[str]) -> UsageSeries:
    """A series as the API has it."""
    return UsageSeries(name=found.name, total=figures(found.total), points=points(found, keys))


def usual(found: Usual) -> UsualFigures:
    """What is usual, as the API has it."""
    return UsualFigures(
        days=found.days,
        same_weekday=found.same_weekday,
        interceptions=round(found.interceptions, 2),
        failed=round(found.failed, 2),
        tokens=round(found.tokens, 2),
        cached_share=found.cached_share,
        cost=dollars(round(found.cost_nanos)),
    )


def key_of(at: datetime, step: UsageBy) -> str:
    """How usage by hour, day or month names a time."""
    return f"{at:{_NAMES[step]}}"


_NAMES = {UsageBy.HOUR: "%Y-%m-%dT%H:00:00Z", UsageBy.DAY: "%Y-%m-%d", UsageBy.MONTH: "%Y-%m"}
