"""Where totals of usage come from: the summaries of whole hours, and the interceptions of the rest.

Both have the same columns: the values of the dimensions, and the sums. What isn't in the summaries
(sessions, how an interception ended) is read from the interceptions alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.schema import interceptions, summarised_hours, token_usages, usage_hours
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

_FAILED_ID = sa.case((has_failed(interceptions.c), interceptions.c.id))

_KEYS: Mapping[UsageBy, Callable[[_Source], sa.ColumnElement[Any]]] = {
    UsageBy.USER: lambda of: sa.func.coalesce(of.columns.username, of.columns.initiator_id),
    UsageBy.GROUP: lambda of: of.columns.initiator_id,
    UsageBy.MODEL: lambda of: of.model,
    UsageBy.PROVIDER: lambda of: of.columns.provider_name,
    UsageBy.CLIENT: lambda of: of.columns.client,
    UsageBy.SESSION: lambda of: of.columns.session_id,
    UsageBy.TOKEN: lambda of: sa.func.coalesce(of.columns.api_key_id, NONE),
    UsageBy.KEY: lambda of: sa.func.coalesce(
        sa.func.nullif(of.columns.credential_hint, _EMPTY), NONE
    ),
    UsageBy.DAY: lambda of: sa.func.date(of.at, type_=sa.String),
    UsageBy.HOUR: lambda of: _hour(of.at),
}

_Range = tuple[datetime | None, datetime | None]
"""From the first to before the second; None is without an end."""


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

        Rows of `usage_hours` for which `of_hours` doesn't hold are left out.
        """
        for part, where in self._directly():
            keys = self._keys(_INTERCEPTIONS)
            yield (
                sa.select(
                    *keys,
                    sa.func.count(sa.distinct(interceptions.c.id)).label("interceptions"),
                    sa.func.count(sa.distinct(_FAILED_ID)).label("failed"),
                    *(each.label(name) for name, each in sums(interceptions.c).items()),
                )
                .select_from(interceptions.outerjoin(token_usages))
                .where(part, *where)
                .group_by(*keys)
            )
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
        for part, where in self._directly():
            keys = self._keys(_INTERCEPTIONS, by)
            numbers = sa.func.count(interceptions.c.id), sa.func.count(_FAILED_ID)
            named = (each.label(name) for name, each in zip(INTERCEPTIONS, numbers, strict=True))
            yield sa.select(*keys, *named).where(part, *where).group_by(*keys)
        for where in self._summed_up():
            keys = self._keys(_HOURS, by)
            sums = (sa.func.sum(usage_hours.c[name]).label(name) for name in INTERCEPTIONS)
            yield sa.select(*keys, *sums).where(*where).group_by(*keys)

    def _keys(self, source: _Source, by: Sequence[UsageBy] | None = None) -> list[sa.Label[Any]]:
        keys = self._by if by is None else by
        return [_KEYS[each](source).label(key_of(each)) for each in keys]

    def _directly(
        self,
    ) -> Iterator[tuple[sa.ColumnElement[bool], Sequence[sa.ColumnElement[bool]]]]:
        """The conditions of what isn't summed up: of the ended and of the open ones."""
        wanted = msgspec.structs.replace(
            self._wanted, model=None, started_after=None, started_before=None
        )
        where = [*conditions(wanted), *_of_model(_INTERCEPTIONS, self._wanted)]
        for within in self._rest():
            for part in PARTS:
                yield part, [*where, *_within(interceptions.c.started_at, within)]

    def _summed_up(self) -> Iterator[Sequence[sa.ColumnElement[bool]]]:
        wanted = msgspec.structs.replace(
            self._wanted, model=None, started_after=None, started_before=None
        )
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
    others = (wanted.session, wanted.status, wanted.min_cost)
    return UsageBy.SESSION not in by and all(each is None for each in others)


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
