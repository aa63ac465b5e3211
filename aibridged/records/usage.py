"""Token usage in total, and refusals, by what they are grouped by."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions, resolved
from aibridged.records.query_results import Filter, Usage, UsageBy
from aibridged.records.schema import TOKEN_COUNTS, interceptions, refusals, token_usages
from aibridged.records.storable import storable

_I = interceptions.c

_used_by = sa.func.coalesce(token_usages.c.provider_model, _I.model)
"""The model whose tokens a row counts."""

_KEYS: dict[UsageBy, Callable[[], sa.ColumnElement[Any]]] = {
    UsageBy.USER: lambda: sa.func.coalesce(_I.username, _I.initiator_id),
    UsageBy.MODEL: lambda: _used_by,
    UsageBy.PROVIDER: lambda: _I.provider_name,
    UsageBy.CLIENT: lambda: _I.client,
    UsageBy.DAY: lambda: sa.func.date(_I.started_at, type_=sa.String),
}
_TOTAL = "TOTAL"
_ALL = "all_"
_COUNTS = ("interceptions", *TOKEN_COUNTS, "refused")

_users = sa.table("aibridged_users", sa.column("id"), sa.column("username"))
# Refusals have no model, provider and client.
_REFUSED_BY: dict[UsageBy, sa.Column[Any]] = {
    UsageBy.USER: refusals.c.user_id,
    UsageBy.DAY: refusals.c.day,
}


def find_usage(connection: sa.Connection, by: UsageBy, wanted: Filter) -> tuple[list[Usage], Usage]:
    """Totals of each, those with the most tokens first (days newest first), and their sum.

    The sum is of those behind the limit as well. An interception that used several models counts
    for each of them.
    """
    found = _summed(connection, by, wanted)
    all_tokens = sum((found.c[name] for name in TOKEN_COUNTS), sa.literal(0))
    order = (found.c.key.desc(),) if by is UsageBy.DAY else (all_tokens.desc(), found.c.key)
    sums = (sa.func.sum(found.c[name]).over().label(f"{_ALL}{name}") for name in _COUNTS)
    statement = sa.select(found, *sums).order_by(*order).limit(wanted.limit)
    rows = connection.execute(statement).all()
    total = {name: int(rows[0]._mapping[f"{_ALL}{name}"]) if rows else 0 for name in _COUNTS}
    each = ((row.key, {name: int(row._mapping[name]) for name in _COUNTS}) for row in rows)
    is_refused_known = _counts_refusals(by, wanted)
    return (
        [_made(str(key), counts, is_refused_known) for key, counts in each],
        _made(_TOTAL, total, is_refused_known),
    )


def _summed(connection: sa.Connection, by: UsageBy, wanted: Filter) -> sa.Subquery:
    """The sums of those that have ended and of the open ones, each found by an index, together.

    Refusals are added where they are counted by what is wanted.
    """
    known, key = resolved(connection, wanted), _KEYS[by]().label("key")
    used_by = [] if known.model is None else [_used_by == storable(known.model)]
    where = list(conditions(msgspec.structs.replace(known, model=None)))
    sums = [
        sa.func.coalesce(sa.func.sum(token_usages.c[name]), 0).label(name) for name in TOKEN_COUNTS
    ]
    parts: list[sa.Select[Any]] = []
    for part in PARTS:
        parts.append(
            sa.select(
                key,
                sa.func.count(sa.distinct(_I.id)).label("interceptions"),
                *sums,
                sa.literal(0).label("refused"),
            )
            .select_from(interceptions.outerjoin(token_usages))
            .where(part, *where, *used_by)
            .group_by(key)
        )
    if _counts_refusals(by, wanted):
        parts.append(_refused(by, wanted))
    all_parts = sa.union_all(*parts).subquery()
    totals = (sa.func.sum(all_parts.c[name]).label(name) for name in _COUNTS)
    return sa.select(all_parts.c.key, *totals).group_by(all_parts.c.key).subquery()


def _counts_refusals(by: UsageBy, wanted: Filter) -> bool:
    """Whether it is known which refusals are meant: they have a person and a day."""
    others = (
        wanted.provider,
        wanted.provider_name,
        wanted.model,
        wanted.client,
        wanted.session,
        wanted.status,
    )
    return by in _REFUSED_BY and not any(each is not None for each in others)


def _refused(by: UsageBy, wanted: Filter) -> sa.Select[Any]:
    column = _REFUSED_BY[by]
    count = sa.func.sum(refusals.c["count"]).label("refused")
    each = sa.select(column, count).where(*_of_persons(wanted)).group_by(column).subquery()
    key: sa.ColumnElement[Any] = sa.func.date(each.c[column.name], type_=sa.String)
    if by is UsageBy.USER:
        key = _name_of(each.c.user_id)
    zeros = [sa.literal(0).label(name) for name in ("interceptions", *TOKEN_COUNTS)]
    return sa.select(key.label("key"), *zeros, each.c.refused)


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


def _made(key: str, counts: dict[str, int], is_refused_known: bool) -> Usage:
    read = counts["cache_read_input_tokens"]
    given = counts["input_tokens"] + read + counts["cache_write_input_tokens"]
    usage = Usage(key=key, cached_share=read / given if given else None, **counts)
    return usage if is_refused_known else msgspec.structs.replace(usage, refused=None)
