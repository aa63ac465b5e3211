"""Pages of sessions, in the order of their last use."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.records.filters import conditions, matching, parts_of
from aibridged.records.query_results import Filter, Session
from aibridged.records.schema import interceptions
from aibridged.records.session_rows import Key, Keys, key_of, keys_of, others, read_sessions
from aibridged.records.storable import storable
from aibridged.records.viewer import Sight

_WINDOW = 16
"""So many interceptions are looked at for each session of a page; if that's too few, so many times
more."""

_I = interceptions.c


class Position(NamedTuple):
    """Where a session stands in the list."""

    key: Key
    last_at: datetime


class NoSuchSessionError(Exception):
    """There is no session that the page is to follow on."""


def find_sessions(
    connection: sa.Connection, wanted: Filter, sight: Sight | None
) -> Iterator[Session]:
    """A page of the sessions of the interceptions that match, those used last first.

    Their prompts are as the viewer may see them; without a sight, there are none.

    Raises:
        LookNotNotedError: prompts of others can't be shown.
        NoSuchSessionError: none of them has the id `after_session`.
    """
    after = None if wanted.after_session is None else _position(connection, wanted)
    page = [place.key for place in _page(connection, wanted, after)]
    yield from read_sessions(connection, page, wanted, sight)


def session_page(
    connection: sa.Connection,
    wanted: Filter,
    after: Position | None,
    limit: int,
    sight: Sight | None,
) -> tuple[Sequence[Session], Position | None]:
    """The page that follows on a position, from the first one, and its own last position.

    Such pages have each session once, also where initiators share an id.
    """
    wanted = msgspec.structs.replace(wanted, limit=limit, offset=0)
    page = _page(connection, wanted, after)
    sessions = list(read_sessions(connection, [place.key for place in page], wanted, sight))
    return sessions, page[-1] if page else None


def _page(connection: sa.Connection, wanted: Filter, after: Position | None) -> Sequence[Position]:
    """The sessions of a page, by walking from the newest interception until the page is full.

    Of a session that is met, the newest interception is met first; one that isn't met was used
    before all that are.
    """
    window = _WINDOW * (wanted.offset + wanted.limit)
    while True:
        found, oldest = _newest(connection, wanted, window, after)
        if oldest is None or (len(found) == wanted.limit and found[-1].last_at > oldest):
            return [Position(key_of(row), row.last_at) for row in found]
        window *= _WINDOW


def _position(connection: sa.Connection, wanted: Filter) -> Position:
    """The position of `after_session`: of those that share the id, the one used longest ago.

    Pages that follow on one another thus come to an end.
    """
    rows = matching(_I.session_id == storable(wanted.after_session or ""), *others(wanted))
    last = sa.func.max(rows.c.started_at).label("last_at")
    statement = sa.select(*keys_of(rows), last).group_by(*keys_of(rows))
    last_of_all = statement.order_by(last, *(each.desc() for each in keys_of(rows))).limit(1)
    row = connection.execute(last_of_all).one_or_none()
    if row is None:
        raise NoSuchSessionError
    return Position(key_of(row), row.last_at)


def _older(wanted: Filter, after: Position) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions on the interceptions of the sessions that weren't used after that one."""
    newer = interceptions.alias()
    since = newer.c.started_at > after.last_at
    matches = (*conditions(wanted, by_index=False, of=newer.c), since)
    yield _I.started_at <= after.last_at
    yield ~(
        sa.select(sa.literal(1))
        .where(
            newer.c.session_id == _I.session_id,
            newer.c.initiator_id == _I.initiator_id,
            newer.c.ended_at.is_not(None),
            *matches,
        )
        .exists()
    )
    still_open = sa.select(*keys_of(newer)).where(newer.c.ended_at.is_(None), *matches)
    yield sa.tuple_(_I.session_id, _I.initiator_id).not_in(still_open)


def _newest(
    connection: sa.Connection, wanted: Filter, window: int, after: Position | None
) -> tuple[Sequence[Any], datetime | None]:
    """The page, as far as the newest `window` interceptions tell, and when the last one started.

    None where there are no others. The open ones, which are few, are all looked at.
    """
    columns = (_I.session_id, _I.initiator_id, _I.started_at)
    where = [*conditions(wanted), *(() if after is None else _older(wanted, after))]
    *ended, still_open = (sa.select(*columns).where(part, *where) for part in parts_of(wanted))
    newest = [each.order_by(_I.started_at.desc()) for each in ended]
    oldest = None
    for each in newest:
        oldest = connection.scalar(
            each.with_only_columns(_I.started_at).limit(1).offset(window - 1)
        )
    few = (sa.select(each.limit(window).subquery()) for each in newest)
    walked = sa.union_all(*few, still_open).subquery()
    last = sa.func.max(walked.c.started_at).label("last_at")
    statement = (
        sa.select(*keys_of(walked), last)
        .group_by(*keys_of(walked))
        .having(*(() if after is None else (_follows(last, keys_of(walked), after),)))
        .order_by(last.desc(), *keys_of(walked))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return connection.execute(statement).all(), oldest


def _follows(last: sa.ColumnElement[Any], keys: Keys, after: Position) -> sa.ColumnElement[bool]:
    """Whether a session stands behind that one, among those that were last used at one moment."""
    beyond = sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, after.key))
    return sa.or_(last < after.last_at, sa.and_(last == after.last_at, beyond))
