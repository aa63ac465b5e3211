"""The time range of an overview: a day, a week or a month until now, or one of the caller's own."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from aibridged.api.filters import BadFilterError
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.usage_parts import TIMES
from aibridged.records.usage_spans import HOUR, hour_of

MAX_DAYS = 400
"""Of a range."""
_HOURLY, _DAILY = timedelta(days=3), timedelta(days=184)
"""The longest ranges that have a point for each hour, or each day; others have one for a month."""
_DAY = timedelta(days=1)


class Span(StrEnum):
    """What a range is called; days are in UTC, and today is one of them."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    OWN = "own"


_DAYS = {Span.DAY: 1, Span.WEEK: 7, Span.MONTH: 30}
ASKED = tuple(map(str, _DAYS))


class Range(NamedTuple):
    """From `start` to before `end`, with a point for each `step`."""

    span: Span
    start: datetime
    end: datetime
    step: UsageBy

    @property
    def times(self) -> Sequence[datetime]:
        """When each hour, day or month begins."""
        of = TIMES[self.step]
        return [*of.between(of.of(self.start), self.end)]

    @property
    def before(self) -> tuple[datetime, datetime]:
        """The same range of the period before: of a day yesterday's, until the same time."""
        length = self.end - self.start
        if self.span in _DAYS:
            length = _DAYS[self.span] * _DAY
        return self.start - length, self.end - length

    @property
    def whole_days(self) -> datetime:
        """When the first day begins that is in the range from its beginning, or the last one."""
        midnight = _midnight(self.start)
        first = midnight if midnight == self.start else midnight + _DAY
        return min(first, _midnight(self.end - timedelta(microseconds=1)))


def read_range(given: Mapping[str, str], wanted: Filter, now: datetime) -> Range:
    """The range of the query parameter `period`, or of the times that are `wanted`.

    Raises:
        BadFilterError: there are both, or the range is empty, too long or without a beginning.
    """
    name, after, before = given.get("period"), wanted.started_after, wanted.started_before
    if name and name not in ASKED:
        raise BadFilterError(f"{name!r} is not a period. There are {', '.join(ASKED)}.")
    if after is None and before is None:
        return _until_now(Span(name or Span.DAY), now)
    if name:
        raise BadFilterError("period and a time range are mutually exclusive: remove one.")
    if after is None:
        raise BadFilterError("started_before needs started_after, the start of the range.")
    end = now if before is None else before
    if end <= after:
        raise BadFilterError("The range is empty: started_after must be before its end.")
    if end - after > MAX_DAYS * _DAY:
        raise BadFilterError(f"The range is longer than {MAX_DAYS} days: ask for less.")
    after, end = after.astimezone(UTC), end.astimezone(UTC)
    step = UsageBy.DAY if end - after <= _DAILY else UsageBy.MONTH
    return Range(Span.OWN, after, end, UsageBy.HOUR if end - after <= _HOURLY else step)


def _until_now(span: Span, now: datetime) -> Range:
    if span is Span.DAY:
        return Range(span, hour_of(now) - 23 * HOUR, now, UsageBy.HOUR)
    return Range(span, _midnight(now) - (_DAYS[span] - 1) * _DAY, now, UsageBy.DAY)


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
