"""Queries of a session's threads."""

from collections.abc import Sequence

import sqlalchemy as sa

from aibridged.records import cost_sums
from aibridged.records.cursors import NoSuchPageError
from aibridged.records.filters import conditions, matching, row_id, thread_of
from aibridged.records.query_results import Filter, Session
from aibridged.records.schema import interceptions, token_usages

_MAX_KINDS = 100
"""Bound on the names of numbers in the metadata, which providers determine."""


def find_threads(
    connection: sa.Connection, session: Session, cursor: str | None, limit: int, *, backwards: bool
) -> list[str] | None:
    """The ids of the threads after that of the interception `cursor`, or `backwards` before it.

    They are in order either way. None where the session has no such interception.
    """
    rows = _of(session)
    root = thread_of(rows.c)
    began = sa.func.min(rows.c.started_at)
    threads = sa.select(root.label("root"), began.label("began")).group_by(root).subquery()
    order = (threads.c.began, threads.c.root)
    statement = sa.select(threads.c.root).limit(limit)
    statement = statement.order_by(*(each.desc() for each in order) if backwards else order)
    if cursor is not None:
        at = sa.select(root).where(rows.c.id == row_id(cursor)).scalar_subquery()
        last = connection.execute(sa.select(*order).where(threads.c.root == at)).one_or_none()
        if last is None:
            return None
        position = sa.tuple_(*(sa.literal(at, by.type) for at, by in zip(last, order, strict=True)))
        here = sa.tuple_(*order)
        statement = statement.where(here < position if backwards else here > position)
    found = list(connection.scalars(statement))
    return found[::-1] if backwards else found


def find_ids(
    connection: sa.Connection,
    session_id: str,
    initiator: str | None,
    threads: Sequence[str] | None,
    after_id: str | None,
    limit: int | None,
) -> Sequence[str]:
    """The ids of a session's interceptions by thread, as `Query.session_ids` has them.

    Raises:
        NoSuchPageError: `after_id` isn't of this session.
    """
    rows = matching(*conditions(Filter(session=session_id, owner=initiator)))
    root = thread_of(rows.c)
    began = sa.func.min(rows.c.started_at).over(partition_by=root)
    own = (rows.c.started_at, rows.c.id)
    each = sa.select(began.label("began"), root.label("root"), *own).subquery().c
    order = (each.began, each.root, each.started_at, each.id)
    statement = sa.select(each.id).order_by(*order).limit(limit)
    if threads is not None:
        statement = statement.where(each.root.in_(threads))
    if after_id is not None:
        last = connection.execute(
            sa.select(*order).where(each.id == row_id(after_id))
        ).one_or_none()
        if last is None:
            raise NoSuchPageError(f"The session has no interception {after_id!r}.")
        position = (sa.literal(at, by.type) for at, by in zip(last, order, strict=True))
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*position))
    return connection.scalars(statement).all()


def sum_costs(connection: sa.Connection, session: Session) -> dict[str, cost_sums.Cost]:
    """What each of a session's threads costs, by its id."""
    rows = _of(session)
    root = thread_of(rows.c).label("root")
    statement = sa.select(root, *cost_sums.sums(rows.c)).group_by(root)
    return {row.root: cost_sums.of_row(row) for row in connection.execute(statement)}


def sum_metadata(connection: sa.Connection, session: Session) -> dict[str, int]:
    """The sums of the whole numbers in the metadata of the token usages, by their names."""
    rows = _of(session)
    usages = rows.join(token_usages, token_usages.c.interception_id == rows.c.id)
    if connection.dialect.name == "postgresql":
        each = sa.func.jsonb_each(token_usages.c.metadata).table_valued("key", "value")
        is_number = sa.func.jsonb_typeof(each.c.value) == "number"
        number = sa.cast(sa.cast(each.c.value, sa.Text), sa.Numeric)
    else:
        each = sa.func.json_each(token_usages.c.metadata).table_valued("key", "value", "type")
        is_number = each.c.type == "integer"
        number = sa.cast(each.c.value, sa.BigInteger)
    statement = (
        sa.select(each.c.key, sa.func.sum(number))
        .select_from(usages.join(each, sa.true()))
        .where(token_usages.c.metadata.is_not(None), is_number)
        .group_by(each.c.key)
        .order_by(each.c.key)
        .limit(_MAX_KINDS)
    )
    return {name: int(total) for name, total in connection.execute(statement)}


def _of(session: Session) -> sa.Subquery:
    """The session's interceptions; its index is to be used, and no other."""
    owner = Filter(owner=session.initiator_id)
    return matching(
        interceptions.c.session_id == session.session_id, *conditions(owner, by_index=False)
    )
