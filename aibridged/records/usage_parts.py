"""Where totals of usage come from: the summaries of whole months, days and hours, and the rest.

The rest is read from the interceptions. All have the same columns: the values of the dimensions,
and the sums. What isn't in the summaries (sessions) is read from the interceptions alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import FunctionElement

from aibridged.records.filters import conditions, parts_of
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.schema import interceptions, token_usages
from aibridged.records.storable import storable
from aibridged.records.usage_spans import DAYS, HOURS, MONTHS, SPANS, Range, Run, Span, covering
from aibridged.records.usage_sums import SUMS, counted, has_failed, sums, used_by

INTERCEPTIONS = ("interceptions", "failed")
"""What is counted of interceptions, where usage has the sums."""

INITIATOR = "initiator_id"
"""The key that stands for the groups of the initiator."""

# Grouped by, an expression must have no parameters: PostgreSQL wouldn't know it again.
NONE: sa.ColumnElement[str] = sa.literal_column("'(none)'")
_EMPTY: sa.ColumnElement[str] = sa.literal_column("''")


def _literal(of: str) -> sa.ColumnElement[str]:
    return sa.literal_column(of, sa.Text)


def _beginning(of: sa.ColumnElement[Any], length: str) -> sa.ColumnElement[str]:
    # The same on both databases: their texts of a time begin alike.
    return sa.func.substr(sa.cast(of, sa.Text), _literal("1"), _literal(length))


def _hour(at: sa.ColumnElement[datetime]) -> sa.ColumnElement[str]:
    date = sa.func.replace(_beginning(at, "13"), _literal("' '"), _literal("'T'"))
    return date.op("||")(_literal("':00:00Z'"))


def month_of(at: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The month (UTC) that a time or a day is in."""
    return _beginning(at, "7")


class _Day(FunctionElement[str]):
    """The day (UTC) that a time is in: a date, or a text of it on SQLite."""

    inherit_cache = True
    type = sa.String()


@compiles(_Day)
def _date(element: _Day, compiler: Any, **options: Any) -> str:
    return f"date({compiler.process(element.clauses, **options)})"


@compiles(_Day, "sqlite")
def _text(element: _Day, compiler: Any, **options: Any) -> str:
    # The stored text begins with it, and its function would read all of it.
    return f"substr({compiler.process(element.clauses, **options)}, 1, 10)"


class _Source(NamedTuple):
    """The columns of a table, and which of them hold the model, if there is one, and the time."""

    columns: Any
    model: Any
    at: sa.ColumnElement[datetime]


_INTERCEPTIONS = _Source(interceptions.c, used_by(interceptions.c), interceptions.c.started_at)
_SUMMARIES = {
    span: _Source(span.table.c, span.table.c.get("model"), span.table.c.starts_at) for span in SPANS
}


def _unordered(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    # SQLite would walk through all of the column's index, whatever the times, for its order.
    return column.op("||")(_EMPTY)


_FAILED_ID = sa.case((has_failed(interceptions.c), interceptions.c.id))

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
    UsageBy.MONTH: lambda of: month_of(of.at),
    UsageBy.DAY: lambda of: _Day(of.at),
    UsageBy.HOUR: lambda of: _hour(of.at),
}

TIMES = {UsageBy.MONTH: MONTHS, UsageBy.DAY: DAYS, UsageBy.HOUR: HOURS}
"""The dimensions that are times, and of which length one value is."""
_OF_LENGTH = {span.longest: by for by, span in TIMES.items()}
_FEW = {*TIMES, UsageBy.MODEL, UsageBy.PROVIDER, UsageBy.CLIENT}
"""Dimensions by which a span has much fewer totals than rows."""

_Conditions = Sequence[sa.ColumnElement[bool]]


class Parts:
    """The parts of one question, with their `keys`: the names of its dimensions' columns."""

    def __init__(self, connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter) -> None:
        self._by = by
        self._wanted = wanted
        within = wanted.started_after, wanted.started_before
        self._runs: Sequence[Run]
        self._rest: Sequence[Range]
        self._runs, self._rest = covering(connection, self._spans(), within)

    def each(self, least: str | None = None) -> Iterator[sa.Select[Any]]:
        """Rows to be added up by all keys, in parallel where the database can.

        Of the summaries, only the rows are read of which the number `least` isn't zero.
        """
        yield from self._directly()
        for run in self._runs:
            yield self._summed_up(run, least)

    def _spans(self) -> Sequence[Span]:
        """The spans whose summaries tell what is asked."""
        by, wanted = self._by, self._wanted
        others = wanted.session is not None or wanted.min_cost is not None
        # What is open is soon found, and few.
        if UsageBy.SESSION in by or others or wanted.status == "open":
            return ()
        longest = min((TIMES[each].longest for each in by if each in TIMES), default=None)
        whole = _SUMMARIES[MONTHS]
        asked = (*self._keys(whole), *self._where(whole, (None, None)))
        needed = {
            each.name
            for asks in asked
            for each in visitors.iterate(asks)
            if isinstance(each, sa.Column)
        }
        return [
            span
            for span in SPANS
            if (longest is None or span.longest <= longest) and needed <= {*span.table.c.keys()}
        ]

    def _keys(self, source: _Source) -> list[sa.Label[Any]]:
        return [_KEYS[each](source).label(key_of(each)) for each in self._by]

    def _directly(self) -> Iterator[sa.Select[Any]]:
        """What isn't summed up: of the ended and of the open ones."""
        numbers = {
            "interceptions": sa.func.count(sa.distinct(interceptions.c.id)),
            "failed": sa.func.count(sa.distinct(_FAILED_ID)),
            **sums(interceptions.c),
        }
        keys = self._keys(_INTERCEPTIONS)
        found = sa.select(*keys, *_labelled(numbers)).group_by(*keys)
        found = found.select_from(interceptions.outerjoin(token_usages))
        for within in self._rest:
            for part in parts_of(self._wanted):
                yield found.where(part, *self._where(_INTERCEPTIONS, within))

    def _summed_up(self, run: Run, least: str | None) -> sa.Select[Any]:
        source = _SUMMARIES[run.span]
        of, keys = source.columns, self._keys(source)
        of_model = UsageBy.MODEL in self._by or self._wanted.model is not None
        numbers = {
            **{name: counted(of, f"model_{name}" if of_model else name) for name in INTERCEPTIONS},
            **{name: of[name] for name in SUMS},
        }
        where = [*self._where(source, (run.start, run.end))]
        if least is not None:
            where.append(numbers[least] > 0)
        own = _OF_LENGTH[run.span.longest]
        if own not in self._by or not _FEW.issuperset(self._by):
            return sa.select(*keys, *_labelled(numbers)).where(*where)
        # By the time itself, which rows are in the order of, before all of them get its text.
        added = {name: sa.func.sum(each) for name, each in numbers.items()}
        times = [
            source.at if each is own else key for each, key in zip(self._by, keys, strict=True)
        ]
        return sa.select(*keys, *_labelled(added)).where(*where).group_by(*times)

    def _where(self, source: _Source, within: Range) -> Iterator[sa.ColumnElement[bool]]:
        # The times and the model are each table's own.
        others = msgspec.structs.replace(
            self._wanted, model=None, started_after=None, started_before=None
        )
        yield from conditions(others, of=source.columns)
        if self._wanted.model is not None:
            yield source.model == storable(self._wanted.model)
        first, end = within
        if first is not None:
            yield source.at >= first
        if end is not None:
            yield source.at < end


def key_of(by: UsageBy) -> str:
    """The name of the key that a dimension is made of."""
    return INITIATOR if by is UsageBy.GROUP else by.value


def _labelled(numbers: Mapping[str, sa.ColumnElement[Any]]) -> Iterator[sa.Label[int]]:
    """The numbers under their names; PostgreSQL's sums are slow to add up as they are."""
    for name, each in numbers.items():
        yield sa.cast(each, sa.BigInteger).label(name)
