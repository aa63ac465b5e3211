"""Names in use, such as those of models: for pickers."""

import sqlalchemy as sa

from aibridged.records.query_results import Names
from aibridged.records.schema import interceptions
from aibridged.records.storable import storable


def find_names(
    connection: sa.Connection, column: sa.ColumnElement[str], wanted: Names, initiator: str | None
) -> list[str]:
    """The different values of a column of the interceptions, sorted; of `initiator`'s only."""
    statement = sa.select(column).distinct().order_by(column)
    statement = statement.limit(wanted.limit).offset(wanted.offset)
    if wanted.beginning:
        beginning = storable(wanted.beginning)
        # LIKE would mind the case on one database and not on the other.
        statement = statement.where(sa.func.substr(column, 1, len(beginning)) == beginning)
    if initiator is not None:
        statement = statement.where(interceptions.c.initiator_id == initiator)
    return [row[0] for row in connection.execute(statement)]
