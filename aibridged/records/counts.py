"""How many there are on all pages of a list, as far as that is soon counted."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.records.filters import PARTS, conditions, parts_of
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions
from aibridged.records.session_rows import keys_of

MAX_COUNT = 10_000
COUNT_S = 0.15

_I = interceptions.c


class Counted(NamedTuple):
    """A number: exact, or what there is at least."""

    number: int
    is_exact: bool


UNKNOWN = Counted(0, is_exact=False)


def count_interceptions(connection: sa.Connection, wanted: Filter) -> Counted:
    """How many interceptions match."""
    each = (sa.select(_I.id).where(part, *conditions(wanted)) for part in parts_of(wanted))
    return _counted(connection, each)


def count_sessions(connection: sa.Connection, wanted: Filter) -> Counted:
    """How many sessions they are of."""
    ended, still_open = PARTS
    other = interceptions.alias()
    known = (
        sa.select(sa.literal(1))
        .where(
            interceptions.c.session_id == other.c.session_id,
            interceptions.c.initiator_id == other.c.initiator_id,
            ended,
            *conditions(wanted),
        )
        .exists()
    )
    # Each in the order of an index: distinct ones of both together would have to be sorted.
    new = sa.select(*keys_of(other)).where(
        other.c.id.in_(sa.select(_I.id).where(still_open, *conditions(wanted))), ~known
    )
    old = sa.select(*keys_of(interceptions)).where(ended, *conditions(wanted))
    found = (new,) if wanted.status == "open" else (old, new)
    return _counted(connection, (each.distinct() for each in found))


def _counted(connection: sa.Connection, statements: Iterable[sa.Select[Any]]) -> Counted:
    number = 0
    for statement in statements:
        few = statement.limit(MAX_COUNT + 1).subquery()
        number += connection.scalar(sa.select(sa.func.count()).select_from(few)) or 0
    return Counted(min(number, MAX_COUNT), number <= MAX_COUNT)
