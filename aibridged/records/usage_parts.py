"""Where totals of usage come from: the summaries of whole hours, and the interceptions of the rest.

Both have the same columns: the values of the dimensions, and the sums. What isn't in the summaries
(sessions, how an interception ended) is read from the interceptions alone. What is completed is an
exception: it is nearly everything, so that the summaries are read, less the few that aren't.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.records.facts import Outcome
from aibridged.records.filters import PARTS, conditions
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.schema import (
    interceptions,
    not_completed,
    summarised_hours,
    token_usages,
    usage_hours,
)
from aibridged.records.storable import storable
from aibridged.records.summarised_hours import HOUR, hour_of
from aibridged.records.usage_sums import SUMS, has_failed, sums, used_by

MAX_RUNS = 16
"""Runs of summarised hours that are used, the longest ones. The gaps between them are read from the
interceptions, each by two queries."""

INTERCEPTIONS = ("interceptions", "failed")
"""What is counted of interceptions, where usage has the sums."""

INITIATOR = "initiator_id"
"""The key that stands for the groups of the initiator."""

# Grouped by, an expression must have no parameters: PostgreSQL wouldn't know it again.
NONE: sa.ColumnElement[str] = sa.literal_column("'(none)'")
_EMPTY: sa.ColumnElement[str] = sa.literal_column("''")


def _hour(at: sa.ColumnElement[datetime]) -> sa.ColumnElement[str]:
    # The same on both databases: their texts of a time begin alike.
    def text(of: str) -> sa.ColumnElement[str]:
        return sa.literal_column(of, sa.Text)

    date = sa.func.substr(sa.cast(at, sa.Text), text("1"), text("13"))
    return sa.func.replace(date, text("' '"), text("'T'")).op("||")(text("':00:00Z'"))


class _Source(NamedTuple):
    """The columns of either table, and which of them hold the model and the time."""

    columns: Any
    model: sa.ColumnElement[str]
    at: sa.ColumnElement[datetime]


_INTERCEPTIONS = _Source(interceptions.c, used_by(interceptions.c), interceptions.c.started_at)
_HOURS = _Source(usage_hours.c, usage_hours.c.model, usage_hours.c.hour)


def _unordered(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    # SQLite would walk through all of the column's index, whatever the times, for its order.
    return column.op("||")(_EMPTY)


_FAILED_ID = sa.case((has_failed(interceptions.c), interceptions.c.id))
_OTHERS = [each.value for each in Outcome if each is not Outcome.COMPLETED]

_KEYS: Mapping[UsageBy, Callable[[_Source], sa.ColumnElement[Any]]] = {
    UsageBy.USER: lambda of: sa.func.coalesce(of.columns.username, of.columns.initiator_id),
    UsageBy.GROUP: lambda of: _unordered(of.columns.initiator_id),
    UsageBy.MODEL: lambda of: of.model,
    UsageBy.PROVIDER: lambda of: of.columns.provider_name,
    UsageBy.CLIENT: lambda of: _unordered(of.columns.client),
    UsageBy.SESSION: lambda of: _unordered(of.columns.session_id),
    UsageBy.TOKEN: lambda of: sa.func.coalesce(of.columns.api_key_id, NONE),
    UsageBy.KEY: lambda of: sa.func.coalesce(
        sa.func.nullif(of.columns.credential_hint, _EMPTY), NONE
    ),
    UsageBy.DAY: lambda of: sa.func.date(of.at, type_=sa.String),
    UsageBy.HOUR: lambda of: _hour(of.at),
}

_Range = tuple[datetime | None, datetime | None]
"""From the first to before the second; None is without an end."""

_Conditions = Sequence[sa.ColumnElement[bool]]


class Parts:
    """The parts of one question, with their `keys`: the names of its dimensions' columns."""

    def __init__(self, connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter) -> None:
        self._by = by
        self._wanted = wanted
        self._runs: Sequence[tuple[datetime, datetime]] = ()
        if _is_summed_up(by, wanted):
            self._runs = _runs(_clean_hours(connection, wanted))

    def each(self, *of_hours: sa.ColumnElement[bool]) -> Iterator[sa.Select[Any]]:
        """The sums by all keys: in each part, a combination has one row at most.

        Rows of `usage_hours` for which `of_hours` doesn't hold are left out. A part may be
        negative: what all parts together count no interceptions of isn't there.
        """
        numbers = {
            "interceptions": sa.func.count(sa.distinct(interceptions.c.id)),
            "failed": sa.func.count(sa.distinct(_FAILED_ID)),
            **sums(interceptions.c),
        }
        joined = interceptions.outerjoin(token_usages)
        for where, named in self._of_interceptions(numbers):
            keys = self._keys(_INTERCEPTIONS)
            yield sa.select(*keys, *named).select_from(joined).where(*where).group_by(*keys)
        of_model = UsageBy.MODEL in self._by or self._wanted.model is not None
        prefix = "model_" if of_model else ""
        counted = {name: usage_hours.c[f"{prefix}{name}"] for name in INTERCEPTIONS} | {
            name: usage_hours.c[name] for name in SUMS
        }
        for where in self._summed_up():
            keys = self._keys(_HOURS)
            yield (
                sa.select(
                    *keys,
                    *(
                        sa.func.coalesce(sa.func.sum(column), 0).label(name)
                        for name, column in counted.items()
                    ),
                )
                .where(*where, *of_hours)
                .group_by(*keys)
            )

    def counts(self) -> Iterator[sa.Select[Any]]:
        """`INTERCEPTIONS` whatever models they used, by all keys but the model."""
        by = [each for each in self._by if each is not UsageBy.MODEL]
        numbers = sa.func.count(interceptions.c.id), sa.func.count(_FAILED_ID)
        for where, named in self._of_interceptions(dict(zip(INTERCEPTIONS, numbers, strict=True))):
            keys = self._keys(_INTERCEPTIONS, by)
            yield sa.select(*keys, *named).where(*where).group_by(*keys)
        for where in self._summed_up():
            keys = self._keys(_HOURS, by)
            sums = (sa.func.sum(usage_hours.c[name]).label(name) for name in INTERCEPTIONS)
            yield sa.select(*keys, *sums).where(*where).group_by(*keys)

    def _keys(self, source: _Source, by: Sequence[UsageBy] | None = None) -> list[sa.Label[Any]]:
        keys = self._by if by is None else by
        return [_KEYS[each](source).label(key_of(each)) for each in keys]

    def _of_interceptions(
        self, numbers: Mapping[str, sa.ColumnElement[int]]
    ) -> Iterator[tuple[_Conditions, Sequence[sa.Label[int]]]]:
        """Which are to be read, and their numbers by name: those of what is left out, negative."""
        for where in self._directly():
            yield where, [each.label(name) for name, each in numbers.items()]
        for where in self._left_out():
            yield where, [(-each).label(name) for name, each in numbers.items()]

    def _directly(self) -> Iterator[_Conditions]:
        """The conditions of what isn't summed up: of the ended and of the open ones."""
        where = [*conditions(self._timeless()), *_of_model(_INTERCEPTIONS, self._wanted)]
        # No ended one is open: SQLite would look at all of them for that.
        parts = PARTS[1:] if self._wanted.status == "open" else PARTS
        for within in self._rest():
            for part in parts:
                yield [part, *where, *_within(interceptions.c.started_at, within)]

    def _left_out(self) -> Iterator[_Conditions]:
        """The conditions of what is summed up and isn't wanted: it isn't completed."""
        if self._wanted.status != Outcome.COMPLETED:
            return
        where = [
            *conditions(msgspec.structs.replace(self._timeless(), status=None)),
            *_of_model(_INTERCEPTIONS, self._wanted),
        ]
        ended, is_open = PARTS
        # Those have an index of their own.
        others = interceptions.c.outcome.in_(_OTHERS), not_completed(interceptions.c)
        for run in self._runs:
            within = [*where, *_within(interceptions.c.started_at, run)]
            yield [ended, *others, *within]
            yield [is_open, *within]

    def _timeless(self) -> Filter:
        """What is wanted, without the times and the model, which each table has its own way."""
        return msgspec.structs.replace(
            self._wanted, model=None, started_after=None, started_before=None
        )

    def _summed_up(self) -> Iterator[_Conditions]:
        wanted = msgspec.structs.replace(self._timeless(), status=None)
        for run in self._runs:
            yield [
                *conditions(wanted, of=usage_hours.c),
                *_of_model(_HOURS, self._wanted),
                *_within(usage_hours.c.hour, run),
            ]

    def _rest(self) -> Iterator[_Range]:
        start = self._wanted.started_after
        for first, end in self._runs:
            if start is None or start < first:
                yield start, first
            start = end
        before = self._wanted.started_before
        if not self._runs or before is None or start is None or start < before:
            yield start, before


def key_of(by: UsageBy) -> str:
    """The name of the key that a dimension is made of."""
    return INITIATOR if by is UsageBy.GROUP else by.value


def _is_summed_up(by: Sequence[UsageBy], wanted: Filter) -> bool:
    has_status = wanted.status not in (None, Outcome.COMPLETED)
    others = wanted.session is not None or wanted.min_cost is not None
    return UsageBy.SESSION not in by and not has_status and not others


def _of_model(source: _Source, wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.model is not None:
        yield source.model == storable(wanted.model)


def _within(at: sa.ColumnElement[datetime], within: _Range) -> Iterator[sa.ColumnElement[bool]]:
    first, end = within
    if first is not None:
        yield at >= first
    if end is not None:
        yield at < end


def _clean_hours(connection: sa.Connection, wanted: Filter) -> Iterator[datetime]:
    """The hours that are summed up and wholly wanted, in order."""
    hour = summarised_hours.c.hour
    statement = sa.select(hour).where(summarised_hours.c.is_dirty == sa.false()).order_by(hour)
    if (after := wanted.started_after) is not None:
        statement = statement.where(hour >= after)
    if (before := wanted.started_before) is not None:
        statement = statement.where(hour < hour_of(before.astimezone(UTC)))
    yield from connection.scalars(statement)


def _runs(hours: Iterator[datetime]) -> Sequence[tuple[datetime, datetime]]:
    """The longest runs of hours without a gap, in order."""
    runs: list[tuple[datetime, datetime]] = []
    for hour in hours:
        if runs and runs[-1][1] == hour:
            runs[-1] = runs[-1][0], hour + HOUR
        else:
            runs.append((hour, hour + HOUR))

    def length(run: tuple[datetime, datetime]) -> timedelta:
        return run[1] - run[0]

    return sorted(sorted(runs, key=length, reverse=True)[:MAX_RUNS])
