"""The order of lists of interceptions, and the one that a page follows on."""

from typing import Any

import sqlalchemy as sa

from aibridged.records.cancel_scope import QueryFailedError
from aibridged.records.id_prefixes import find_interception
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions

_I = interceptions.c


class NoSuchPageError(QueryFailedError):
    """There is nothing with the id that the page is to follow on."""


def one(id: str | None, initiator: str | None) -> sa.Select[Any]:
    """The interception with this id, if it is the initiator's."""
    statement = sa.select(interceptions).where(_I.id == id)
    return statement if initiator is None else statement.where(_I.initiator_id == initiator)


def order(wanted: Filter, columns: Any) -> tuple[sa.ColumnElement[Any], ...]:
    """The order of a list, on columns of interceptions."""
    by = (columns.started_at, columns.id)
    return by if wanted.oldest_first else tuple(column.desc() for column in by)


def cursor(connection: sa.Connection, wanted: Filter) -> sa.Row[Any] | None:
    """The interception `after_id`.

    Raises:
        NoSuchPageError: there is none, or it isn't `owner`'s.
    """
    if wanted.after_id is None:
        return None
    found = find_interception(connection, wanted.after_id, wanted.owner)
    row = connection.execute(one(found, wanted.owner)).one_or_none()
    if row is None:
        raise NoSuchPageError(f"There is no interception {wanted.after_id!r} to page after.")
    return row


def before(row: sa.Row[Any], columns: Any = _I) -> sa.ColumnElement[bool]:
    """Whether an interception started before that one; at one instant the ids decide."""
    # The first condition is what an index is used for.
    return sa.and_(
        columns.started_at <= row.started_at,
        sa.or_(columns.started_at < row.started_at, columns.id < row.id),
    )


def behind(row: sa.Row[Any], wanted: Filter) -> sa.ColumnElement[bool]:
    """Whether an interception stands behind that one in the list."""
    if not wanted.oldest_first:
        return before(row)
    return sa.and_(
        _I.started_at >= row.started_at,
        sa.or_(_I.started_at > row.started_at, _I.id > row.id),
    )
