"""Names in use, sorted: models, clients, providers and users, whose numbers callers determine."""

import sqlalchemy as sa

from aibridged.records.filters import PARTS
from aibridged.records.query_results import Filter, Names, UsageBy
from aibridged.records.schema import interceptions
from aibridged.records.storable import storable
from aibridged.records.usage_parts import Parts

MAX_NAMES = 10_000
"""Bound on the names in a list."""

_I = interceptions.c
_INDEXED = (_I.model, _I.client, _I.username)
_SUMMARISED = {
    "model": UsageBy.MODEL,
    "client": UsageBy.CLIENT,
    "provider_name": UsageBy.PROVIDER,
}
"""Columns by which usage is summed up."""


def find_names(
    connection: sa.Connection,
    column: sa.Column[str],
    wanted: Names,
    initiator: str | None,
) -> list[str]:
    """The values of a column of the interceptions, of an initiator's alone if there is one.

    The models of an initiator are those that used the tokens, as the summaries of usage have them.
    """
    by = _SUMMARISED.get(column.name)
    if initiator is None and column in set(_INDEXED):
        names = _leaps(column)
    elif by is not None:
        parts = Parts(connection, [by], Filter(owner=initiator))
        each = sa.union_all(*parts.each()).subquery()
        names = sa.select(each.c[by].label("name")).distinct().subquery()
    else:
        distinct = sa.select(column.label("name")).distinct()
        if initiator is not None:
            distinct = distinct.where(_I.initiator_id == initiator)
        names = distinct.subquery()
    statement = sa.select(names.c.name).where(names.c.name.is_not(None)).order_by(names.c.name)
    if wanted.beginning:
        beginning = storable(wanted.beginning)
        # LIKE would mind the case on one database and not on the other.
        begins = sa.func.substr(names.c.name, 1, len(beginning)) == beginning
        statement = statement.where(begins)
    return list(connection.scalars(statement.limit(wanted.limit).offset(wanted.offset)))


def _leaps(column: sa.ColumnElement[str]) -> sa.Subquery:
    """All values, each found by the column's index behind the one before: no row is read twice."""
    ended, still_open = PARTS
    least = sa.func.min(column)
    leap = sa.select(least.label("name")).where(ended).cte("leap", recursive=True)
    following = sa.select(least).where(ended, column > leap.c.name).scalar_subquery()
    leap = leap.union_all(sa.select(following).where(leap.c.name.is_not(None)))
    return sa.union(sa.select(leap.c.name), sa.select(column).where(still_open)).subquery()
