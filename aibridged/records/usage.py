"""Token usage in total, and refusals, by what they are grouped by."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions, resolved
from aibridged.records.query_results import Filter, Usage, UsageBy
from aibridged.records.schema import TOKEN_COUNTS, interceptions, refusals, token_usages
from aibridged.records.storable import storable

_I = interceptions.c

# Grouped by, an expression must have no parameters: PostgreSQL wouldn't know it again.
_NONE: sa.ColumnElement[str] = sa.literal_column("'(none)'")

_used_by = sa.func.coalesce(token_usages.c.provider_model, _I.model)
"""The model whose tokens a row counts."""


def _hour() -> sa.ColumnElement[str]:
    # The same on both databases: their texts of a time begin alike.
    def text(of: str) -> sa.ColumnElement[str]:
        return sa.literal_column(of, sa.Text)

    date = sa.func.substr(sa.cast(_I.started_at, sa.Text), text("1"), text("13"))
    return sa.func.replace(date, text("' '"), text("'T'")).op("||")(text("':00:00Z'"))


_KEYS: dict[UsageBy, Callable[[], sa.ColumnElement[Any]]] = {
    UsageBy.USER: lambda: sa.func.coalesce(_I.username, _I.initiator_id),
    UsageBy.MODEL: lambda: _used_by,
    UsageBy.PROVIDER: lambda: _I.provider_name,
    UsageBy.CLIENT: lambda: _I.client,
    UsageBy.SESSION: lambda: _I.session_id,
    UsageBy.TOKEN: lambda: sa.func.coalesce(_I.api_key_id, _NONE),
    UsageBy.DAY: lambda: sa.func.date(_I.started_at, type_=sa.String),
    UsageBy.HOUR: _hour,
}
_TIMES = (UsageBy.DAY, UsageBy.HOUR)
_TOTAL = "TOTAL"
_ALL = "all_"
_COUNTS = ("interceptions", *TOKEN_COUNTS, "refused")
_STREAMED_ROWS = 1000  # in memory at once

_users = sa.table("aibridged_users", sa.column("id"), sa.column("username"))
# Refusals have no model, provider and client.
_REFUSED_BY: dict[UsageBy, sa.Column[Any]] = {
    UsageBy.USER: refusals.c.user_id,
    UsageBy.DAY: refusals.c.day,
}


def find_usage(
    connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter, sort: str | None = None
) -> tuple[list[Usage], Usage]:
    """Totals of each, in order, and their sum.

    The sum is of those behind the limit as well. An interception that used several models counts
    for each of them. `sort` is a dimension, or the name of a number of a `Usage`; by default those
    with the most tokens are first, and times newest first.
    """
    found = _summed(connection, by, wanted)
    sums = (sa.func.sum(found.c[name]).over().label(f"{_ALL}{name}") for name in _COUNTS)
    statement = sa.select(found, *sums).order_by(*_order(found, by, sort)).limit(wanted.limit)
    rows = connection.execute(statement).all()
    total = {name: int(rows[0]._mapping[f"{_ALL}{name}"]) if rows else 0 for name in _COUNTS}
    is_refused_known = _counts_refusals(by, wanted)
    return (
        [_of_row(row, by, is_refused_known) for row in rows],
        _made({}, total, is_refused_known),
    )


def stream_usage(
    connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter
) -> Iterator[Usage]:
    """All totals, in the same order, a few at a time in memory, without their sum."""
    found = _summed(connection, by, wanted)
    statement = sa.select(found).order_by(*_order(found, by, None))
    is_refused_known = _counts_refusals(by, wanted)
    streaming = connection.execution_options(yield_per=_STREAMED_ROWS)
    for row in streaming.execute(statement):
        yield _of_row(row, by, is_refused_known)


def _order(
    found: sa.Subquery, by: Sequence[UsageBy], sort: str | None
) -> Iterator[sa.ColumnElement[Any]]:
    if sort is None:
        if by[0] in _TIMES:
            yield _in_order(found, by[0])
    elif sort in by:
        yield _in_order(found, UsageBy(sort))
    else:
        yield _number(found, sort).desc().nulls_last()
    yield sum((found.c[name] for name in TOKEN_COUNTS), sa.literal(0)).desc()
    yield from (_in_order(found, each) for each in by)


def _in_order(found: sa.Subquery, by: UsageBy) -> sa.ColumnElement[Any]:
    column = found.c[by.value]
    return column.desc() if by in _TIMES else column.asc()


def _number(found: sa.Subquery, name: str) -> sa.ColumnElement[Any]:
    if name != "cached_share":
        return found.c[name]
    read = found.c.cache_read_input_tokens
    given = found.c.input_tokens + read + found.c.cache_write_input_tokens
    return read * sa.literal(1.0) / sa.func.nullif(given, 0)


def _summed(connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter) -> sa.Subquery:
    """The sums of those that have ended and of the open ones, each found by an index, together.

    Refusals are added where they are counted by what is wanted.
    """
    known, keys = resolved(connection, wanted), [_KEYS[each]().label(each.value) for each in by]
    used_by = [] if known.model is None else [_used_by == storable(known.model)]
    where = list(conditions(msgspec.structs.replace(known, model=None)))
    sums = [
        sa.func.coalesce(sa.func.sum(token_usages.c[name]), 0).label(name) for name in TOKEN_COUNTS
    ]
    parts: list[sa.Select[Any]] = []
    for part in PARTS:
        parts.append(
            sa.select(
                *keys,
                sa.func.count(sa.distinct(_I.id)).label("interceptions"),
                *sums,
                sa.literal(0).label("refused"),
            )
            .select_from(interceptions.outerjoin(token_usages))
            .where(part, *where, *used_by)
            .group_by(*keys)
        )
    if _counts_refusals(by, wanted):
        parts.append(_refused(by, wanted))
    all_parts = sa.union_all(*parts).subquery()
    all_keys = [all_parts.c[each.value] for each in by]
    totals = (sa.func.sum(all_parts.c[name]).label(name) for name in _COUNTS)
    return sa.select(*all_keys, *totals).group_by(*all_keys).subquery()


def _counts_refusals(by: Sequence[UsageBy], wanted: Filter) -> bool:
    """Whether it is known which refusals are meant: they have a person and a day."""
    others = (
        wanted.provider,
        wanted.provider_name,
        wanted.model,
        wanted.client,
        wanted.session,
        wanted.status,
    )
    return set(by) <= set(_REFUSED_BY) and not any(each is not None for each in others)


def _refused(by: Sequence[UsageBy], wanted: Filter) -> sa.Select[Any]:
    columns = [_REFUSED_BY[each] for each in by]
    count = sa.func.sum(refusals.c["count"]).label("refused")
    each = sa.select(*columns, count).where(*_of_persons(wanted)).group_by(*columns).subquery()
    keys: list[sa.ColumnElement[Any]] = [
        _name_of(each.c.user_id)
        if by is UsageBy.USER
        else sa.func.date(each.c.day, type_=sa.String)
        for by in by
    ]
    names = [key.label(by.value) for key, by in zip(keys, by, strict=True)]
    zeros = [sa.literal(0).label(name) for name in ("interceptions", *TOKEN_COUNTS)]
    return sa.select(*names, *zeros, each.c.refused)


def _name_of(person: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The name on the person's last record, else the user's, else the id."""
    last = (
        sa.select(_I.username)
        .where(_I.initiator_id == person, PARTS[0])
        .order_by(_I.started_at.desc())
        .limit(1)
    )
    user = sa.select(_users.c.username).where(_users.c.id == person)
    return sa.func.coalesce(last.scalar_subquery(), user.scalar_subquery(), person)


def _of_persons(wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
    person, day = refusals.c.user_id, refusals.c.day
    for id in (wanted.owner, wanted.initiator_id):
        if id is not None:
            yield person == storable(id)
    if wanted.username is not None:
        yield _name_of(person) == storable(wanted.username)
    if wanted.initiator is not None:
        initiator = storable(wanted.initiator)
        yield sa.or_(person == initiator, _name_of(person) == initiator)
    if wanted.started_after is not None:
        yield day >= wanted.started_after.date()
    if wanted.started_before is not None:
        yield day <= (wanted.started_before - timedelta(microseconds=1)).date()


def _of_row(row: sa.Row[Any], by: Sequence[UsageBy], is_refused_known: bool) -> Usage:
    values = row._mapping
    keys = {each.value: str(values[each.value]) for each in by}
    return _made(keys, {name: int(values[name]) for name in _COUNTS}, is_refused_known)


def _made(by: Mapping[str, str], counts: dict[str, int], is_refused_known: bool) -> Usage:
    read = counts["cache_read_input_tokens"]
    given = counts["input_tokens"] + read + counts["cache_write_input_tokens"]
    usage = Usage(
        key=", ".join(by.values()) or _TOTAL,
        by=dict(by),
        cached_share=read / given if given else None,
        **counts,
    )
    return usage if is_refused_known else msgspec.structs.replace(usage, refused=None)
