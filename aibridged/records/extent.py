"""When the record begins, and how far it goes: of everybody, or of a person."""

from datetime import datetime

import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions

_STARTED = interceptions.c.started_at


def record_begins(connection: sa.Connection, owner: str | None) -> datetime | None:
    """When the first interception started that is still on record."""
    return min(_each(connection, owner, _STARTED), default=None)


def record_ends(connection: sa.Connection, owner: str | None) -> datetime | None:
    """When the last one started."""
    return max(_each(connection, owner, _STARTED.desc()), default=None)


def _each(
    connection: sa.Connection, owner: str | None, order: sa.ColumnElement[datetime]
) -> list[datetime]:
    """The first of the ended and of the open ones in an order, each found by an index."""
    of_owner = [*conditions(Filter(owner=owner))]
    found = (
        connection.scalar(sa.select(_STARTED).where(part, *of_owner).order_by(order).limit(1))
        for part in PARTS
    )
    return [at for at in found if at is not None]
