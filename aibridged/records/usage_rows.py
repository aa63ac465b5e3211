"""The rows that sum up usage: those of hours are made of the interceptions, others of such rows.

A row sums up what has the same values in all keys of its table.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from aibridged.records.filters import matching
from aibridged.records.schema import USAGE_KEYS, interceptions, token_usages, usage_hours
from aibridged.records.usage_spans import Span
from aibridged.records.usage_sums import SUMS, counted, sums, used_by

ROWS_AT_ONCE = {"sqlite": 100, "postgresql": 500}
"""That are written together, by the database: SQLite has one writer, and requests wait for it. Each
time takes a connection, which costs more on PostgreSQL, and only what changes that span waits."""

Row = tuple[Any, ...]
_OWN = ("starts_at", "number")  # first in a row
_OF_INTERCEPTIONS = tuple(name for name in USAGE_KEYS if name != "model")


def pages_of(connection: sa.Connection, span: Span, start: datetime) -> Iterator[Sequence[Row]]:
    """The rows that sum up a span, so many at a time as are written together.

    They are read while they are iterated over.
    """
    at_once = ROWS_AT_ONCE[connection.dialect.name]
    streaming = connection.execution_options(yield_per=at_once)
    as_bound = span.table.c.starts_at.type.dialect_impl(connection.dialect).bind_processor(
        connection.dialect
    )
    at = start if as_bound is None else as_bound(start)
    number = 0
    within = {"start": start, "end": span.end(start)}
    for rows in streaming.execute(_summed(span), within).partitions():
        yield [(at, number + place, *row) for place, row in enumerate(rows)]
        number += len(rows)


def _of_interceptions() -> sa.Select[Any]:
    """The rows of an hour, without `_OWN`: the columns in their order.

    An interception that used several models is counted once, at one.
    """
    at = interceptions.c.started_at
    # Together before they are grouped: SQLite would walk through all that there are in that order.
    found = matching(*_within(at))
    of, model = found.c, used_by(found.c)
    own = [of[name] for name in _OF_INTERCEPTIONS]
    each = (
        sa.select(
            *own,
            model.label("model"),
            sa.func.row_number().over(partition_by=of.id, order_by=model).label("turn"),
            *(each.label(name) for name, each in sums(of).items()),
        )
        .select_from(found.outerjoin(token_usages, token_usages.c.interception_id == of.id))
        .group_by(of.id, *own, model)
        .subquery()
    )
    once = sa.case((each.c.turn == 1, 1), else_=0)
    return _grouped(
        each,
        usage_hours,
        {
            "model_interceptions": sa.func.count(),
            "interceptions": sa.func.sum(once),
            **{name: sa.func.sum(each.c[name]) for name in SUMS},
        },
    )


def _of_rows(table: sa.Table, of: sa.Table) -> sa.Select[Any]:
    """The rows of a table, made of those of another, as `_of_interceptions`."""
    each = sa.select(of).where(*_within(of.c.starts_at)).subquery()
    names = {each.name for each in table.c}.difference(_OWN, USAGE_KEYS)
    return _grouped(each, table, {name: sa.func.sum(counted(each.c, name)) for name in names})


def _within(at: sa.ColumnElement[datetime]) -> Sequence[sa.ColumnElement[bool]]:
    start, end = (sa.bindparam(name, type_=at.type) for name in ("start", "end"))
    return at >= start, at < end


def _grouped(
    each: sa.Subquery, table: sa.Table, sums: Mapping[str, sa.ColumnElement[Any]]
) -> sa.Select[Any]:
    keys = [each.c[name] for name in USAGE_KEYS if name in table.c]
    columns = (
        sa.cast(sums[of.name], sa.BigInteger).label(of.name) if of.name in sums else each.c[of.name]
        for of in table.c
        if of.name not in _OWN
    )
    return sa.select(*columns).group_by(*keys).order_by(*keys)


@cache
def _summed(span: Span) -> sa.Select[Any]:
    """The rows of a span, without `_OWN`; made when they are first asked for: it takes a moment."""
    if span.made_of is None:
        return _of_interceptions()
    return _of_rows(span.table, span.made_of.table)
