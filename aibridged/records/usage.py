"""Token usage in total, by what it is grouped by."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions
from aibridged.records.query_results import Filter, Usage, UsageBy
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages
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
_COUNTS = ("interceptions", *TOKEN_COUNTS)


def find_usage(connection: sa.Connection, by: UsageBy, wanted: Filter) -> tuple[list[Usage], Usage]:
    """Totals of each, those with the most tokens first (days newest first), and their sum.

    The sum is of those behind the limit as well. An interception that used several models counts
    for each of them.
    """
    found = _summed(wanted, _KEYS[by]().label("key"))
    all_tokens = sum((found.c[name] for name in TOKEN_COUNTS), sa.literal(0))
    order = (found.c.key.desc(),) if by is UsageBy.DAY else (all_tokens.desc(), found.c.key)
    sums = (sa.func.sum(found.c[name]).over().label(f"{_ALL}{name}") for name in _COUNTS)
    statement = sa.select(found, *sums).order_by(*order).limit(wanted.limit)
    rows = connection.execute(statement).all()
    total = {name: int(rows[0]._mapping[f"{_ALL}{name}"]) if rows else 0 for name in _COUNTS}
    each = ((row.key, {name: int(row._mapping[name]) for name in _COUNTS}) for row in rows)
    return [_made(str(key), counts) for key, counts in each], _made(_TOTAL, total)


def _summed(wanted: Filter, key: sa.Label[Any]) -> sa.Subquery:
    """The sums of those that have ended and of the open ones, each found by an index, together."""
    used_by = [] if wanted.model is None else [_used_by == storable(wanted.model)]
    where = list(conditions(msgspec.structs.replace(wanted, model=None)))
    sums = [
        sa.func.coalesce(sa.func.sum(token_usages.c[name]), 0).label(name) for name in TOKEN_COUNTS
    ]
    parts = []
    for part in PARTS:
        parts.append(
            sa.select(key, sa.func.count(sa.distinct(_I.id)).label("interceptions"), *sums)
            .select_from(interceptions.outerjoin(token_usages))
            .where(part, *where, *used_by)
            .group_by(key)
        )
    both = sa.union_all(*parts).subquery()
    totals = (sa.func.sum(both.c[name]).label(name) for name in _COUNTS)
    return sa.select(both.c.key, *totals).group_by(both.c.key).subquery()


def _made(key: str, counts: dict[str, int]) -> Usage:
    read = counts["cache_read_input_tokens"]
    given = counts["input_tokens"] + read + counts["cache_write_input_tokens"]
    return Usage(key=key, cached_share=read / given if given else None, **counts)
