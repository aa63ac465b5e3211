"""Token usage in total, by what it is grouped by."""

from collections.abc import Callable, Sequence
from operator import attrgetter
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
_COUNTS = ("interceptions", *TOKEN_COUNTS)


def find_usage(connection: sa.Connection, by: UsageBy, wanted: Filter) -> list[Usage]:
    """Totals of each, those with the most tokens first; days newest first."""
    found = _summed(wanted, _KEYS[by]().label("key"), is_grouped=True)
    all_tokens = sum((found.c[name] for name in TOKEN_COUNTS), sa.literal(0))
    order = (found.c.key.desc(),) if by is UsageBy.DAY else (all_tokens.desc(), found.c.key)
    statement = sa.select(found).order_by(*order).limit(wanted.limit)
    return [_usage(row) for row in connection.execute(statement)]


def find_total(connection: sa.Connection, wanted: Filter) -> Usage:
    """The total of all."""
    key = sa.literal(_TOTAL, sa.Text).label("key")
    return _usage(connection.execute(sa.select(_summed(wanted, key, is_grouped=False))).one())


def added_up(all_of: Sequence[Usage]) -> Usage:
    """The total of some totals."""
    return _made(_TOTAL, {name: sum(map(attrgetter(name), all_of)) for name in _COUNTS})


def _summed(wanted: Filter, key: sa.Label[Any], *, is_grouped: bool) -> sa.Subquery:
    """The sums of those that have ended and of the open ones, each found by an index, together."""
    used_by = [] if wanted.model is None else [_used_by == storable(wanted.model)]
    where = list(conditions(msgspec.structs.replace(wanted, model=None)))
    sums = [
        sa.func.coalesce(sa.func.sum(token_usages.c[name]), 0).label(name) for name in TOKEN_COUNTS
    ]
    parts = []
    for part in PARTS:
        statement = (
            sa.select(key, sa.func.count(sa.distinct(_I.id)).label("interceptions"), *sums)
            .select_from(interceptions.outerjoin(token_usages))
            .where(part, *where, *used_by)
        )
        parts.append(statement.group_by(key) if is_grouped else statement)
    both = sa.union_all(*parts).subquery()
    totals = (sa.func.sum(both.c[name]).label(name) for name in _COUNTS)
    return sa.select(both.c.key, *totals).group_by(both.c.key).subquery()


def _usage(row: sa.Row[Any]) -> Usage:
    return _made(str(row.key), {name: int(row._mapping[name]) for name in _COUNTS})


def _made(key: str, counts: dict[str, int]) -> Usage:
    read = counts["cache_read_input_tokens"]
    given = counts["input_tokens"] + read + counts["cache_write_input_tokens"]
    return Usage(key=key, cached_share=read / given if given else None, **counts)
