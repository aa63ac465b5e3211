"""Ids by how they begin: as much as tells one apart, from a table or a log, can be typed."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from aibridged.records.cancel_scope import QueryFailedError
from aibridged.records.filters import PARTS, row_id
from aibridged.records.schema import interceptions
from aibridged.records.storable import storable

MIN_PREFIX = 8
"""Characters of an id, at least, if it isn't the whole one."""
_NAMED = 5  # of several ids

_HEX = frozenset("0123456789abcdef")
_DIGITS = 32
_LAST = "\U0010ffff"

_I = interceptions.c


class AmbiguousIdError(QueryFailedError):
    """Several ids begin like this; the message names some of them."""


def find_interception(connection: sa.Connection, text: str, owner: str | None = None) -> str | None:
    """The id of an interception (of `owner`'s), which may be longer than the text; None for none.

    A whole id is returned unchecked.

    Raises:
        AmbiguousIdError: several begin like this.
    """
    if (id := row_id(text)) is not None:
        return id
    digits = text.replace("-", "").lower()
    if not MIN_PREFIX <= len(digits) < _DIGITS or not _HEX.issuperset(digits):
        return None
    least, most = (row_id(digits.ljust(_DIGITS, filler)) for filler in "0f")
    statement = sa.select(_I.id).where(_I.id.between(least, most)).order_by(_I.id)
    return _only(text, connection.scalars(_of(statement, owner).limit(_NAMED + 1)).all())


def find_session(connection: sa.Connection, text: str, owner: str | None = None) -> str | None:
    """The same for a session, whose id is any text."""
    prefix = storable(text)
    same = _sessions(connection, _I.session_id == prefix, owner)
    if next(same, None) is not None:
        return prefix
    if len(prefix) < MIN_PREFIX:
        return None
    if connection.dialect.name == "sqlite":
        begins = sa.and_(_I.session_id >= prefix, _I.session_id < prefix + _LAST)
    else:
        begins = _I.session_id.startswith(prefix, autoescape=True)
    return _only(text, sorted(set(_sessions(connection, begins, owner))))


class FoundId(NamedTuple):
    """An id of the `kind` session or interception; `session_id` is the interception's, too."""

    kind: Literal["session", "interception"]
    id: str
    session_id: str


def find_any(connection: sa.Connection, text: str, owner: str | None = None) -> FoundId | None:
    """The session or the interception (of `owner`'s) with this id, or that alone begins so.

    A session without an id of its own has that of an interception: it is the session.

    Raises:
        AmbiguousIdError: several begin like this.
    """
    if (session := find_session(connection, text, owner)) is not None:
        return FoundId("session", session, session)
    if (id := find_interception(connection, text, owner)) is None:
        return None
    of = connection.scalar(_of(sa.select(_I.session_id).where(_I.id == id), owner))
    return None if of is None else FoundId("interception", id, of)


def _sessions(
    connection: sa.Connection, which: sa.ColumnElement[bool], owner: str | None
) -> Iterator[str]:
    for part in PARTS:
        statement = sa.select(_I.session_id).where(part, which).distinct()
        yield from connection.scalars(_of(statement, owner).limit(_NAMED + 1)).all()


def _of(statement: sa.Select[Any], owner: str | None) -> sa.Select[Any]:
    # Not by the index of initiators: it would be walked through.
    return statement if owner is None else statement.where(_I.initiator_id.concat("") == owner)


def _only(text: str, found: Sequence[str]) -> str | None:
    if len(found) <= 1:
        return found[0] if found else None
    more = ", and others" if len(found) > _NAMED else ""
    raise AmbiguousIdError(
        f"{text!r} is the beginning of several ids: {', '.join(found[:_NAMED])}{more}. "
        "Type more of the one that is meant."
    )
