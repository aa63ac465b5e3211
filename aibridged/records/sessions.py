"""Aggregates of the interceptions of a session, for a few sessions at once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.records import cost_sums
from aibridged.records.child_rows import SHOWN_CHARACTERS, SHOWN_ROWS
from aibridged.records.filters import PARTS, conditions, matching, thread_of
from aibridged.records.query_results import Filter, Session
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages, user_prompts

_AT_ONCE = 500
_WINDOW = 16
"""So many interceptions are looked at for each session of a page; if that's too few, so many times
more."""
_PAIRS = 10 * SHOWN_ROWS
"""Bound on the providers and models of a session, which callers determine."""

_I = interceptions.c

_Keys = tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]


class _Key(NamedTuple):
    """Key of a session: initiators may share an id."""

    session_id: str
    initiator_id: str


class Position(NamedTuple):
    """Where a session stands in the list."""

    key: _Key
    last_at: datetime


class NoSuchSessionError(Exception):
    """There is no session that the page is to follow on."""


class _Found(NamedTuple):
    """The child data of some sessions."""

    sessions: dict[_Key, sa.Row[Any]]
    names: dict[_Key, list[tuple[str, str]]]
    tokens: dict[_Key, dict[str, int]]
    first_prompts: dict[_Key, str]
    last_prompts: dict[_Key, str]
    firsts: dict[_Key, sa.Row[Any]]


def find_sessions(connection: sa.Connection, wanted: Filter) -> Iterator[Session]:
    """A page of the sessions of the interceptions that match, those used last first.

    Raises:
        NoSuchSessionError: none of them has the id `after_session`.
    """
    after = None if wanted.after_session is None else _position(connection, wanted)
    yield from _sessions(
        connection, [place.key for place in _page(connection, wanted, after)], wanted
    )


def session_page(
    connection: sa.Connection, wanted: Filter, after: Position | None, limit: int
) -> tuple[Sequence[Session], Position | None]:
    """The page that follows on a position, from the first one, and its own last position.

    Such pages have each session once, also where initiators share an id.
    """
    wanted = msgspec.structs.replace(wanted, limit=limit, offset=0)
    page = _page(connection, wanted, after)
    sessions = list(_sessions(connection, [place.key for place in page], wanted))
    return sessions, page[-1] if page else None


def _sessions(connection: sa.Connection, page: Sequence[_Key], wanted: Filter) -> Iterator[Session]:
    for start in range(0, len(page), _AT_ONCE):
        batch = page[start : start + _AT_ONCE]
        found = _find(connection, batch, wanted)
        yield from (_session(found.sessions[key], found) for key in batch)


def count_sessions(connection: sa.Connection, wanted: Filter) -> int:
    """How many there are on all pages."""
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
    new = sa.select(other.c.session_id, other.c.initiator_id).where(
        other.c.id.in_(sa.select(_I.id).where(still_open, *conditions(wanted))), ~known
    )
    old = sa.select(_I.session_id, _I.initiator_id).where(ended, *conditions(wanted))
    return sum(
        connection.scalar(sa.select(sa.func.count()).select_from(each.distinct().subquery())) or 0
        for each in (old, new)
    )


def _page(connection: sa.Connection, wanted: Filter, after: Position | None) -> Sequence[Position]:
    """The sessions of a page, by walking from the newest interception until the page is full.

    Of a session that is met, the newest interception is met first; one that isn't met was used
    before all that are.
    """
    window = _WINDOW * (wanted.offset + wanted.limit)
    while True:
        found, oldest = _newest(connection, wanted, window, after)
        if oldest is None or (len(found) == wanted.limit and found[-1].last_at > oldest):
            return [Position(_key(row), row.last_at) for row in found]
        window *= _WINDOW


def _position(connection: sa.Connection, wanted: Filter) -> Position:
    """The position of `after_session`: of those that share the id, the one used longest ago.

    Pages that follow on one another thus come to an end.
    """
    rows = matching(_I.session_id == wanted.after_session, *_others(wanted))
    last = sa.func.max(rows.c.started_at).label("last_at")
    statement = sa.select(*_keys(rows), last).group_by(*_keys(rows))
    last_of_all = statement.order_by(last, *(each.desc() for each in _keys(rows))).limit(1)
    row = connection.execute(last_of_all).one_or_none()
    if row is None:
        raise NoSuchSessionError
    return Position(_key(row), row.last_at)


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
    still_open = sa.select(*_keys(newer)).where(newer.c.ended_at.is_(None), *matches)
    yield sa.tuple_(_I.session_id, _I.initiator_id).not_in(still_open)


def _newest(
    connection: sa.Connection, wanted: Filter, window: int, after: Position | None
) -> tuple[Sequence[Any], datetime | None]:
    """The page, as far as the newest `window` interceptions tell, and when the last one started.

    None where there are no others. The open ones, which are few, are all looked at.
    """
    columns = (_I.session_id, _I.initiator_id, _I.started_at)
    where = [*conditions(wanted), *(() if after is None else _older(wanted, after))]
    ended, still_open = (sa.select(*columns).where(part, *where) for part in PARTS)
    ended = ended.order_by(_I.started_at.desc())
    oldest = connection.scalar(
        sa.select(_I.started_at)
        .where(PARTS[0], *where)
        .order_by(_I.started_at.desc())
        .limit(1)
        .offset(window - 1)
    )
    walked = sa.union_all(sa.select(ended.limit(window).subquery()), still_open).subquery()
    last = sa.func.max(walked.c.started_at).label("last_at")
    statement = (
        sa.select(*_keys(walked), last)
        .group_by(*_keys(walked))
        .having(*(() if after is None else (_follows(last, _keys(walked), after),)))
        .order_by(last.desc(), *_keys(walked))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return connection.execute(statement).all(), oldest


def _follows(last: sa.ColumnElement[Any], keys: _Keys, after: Position) -> sa.ColumnElement[bool]:
    """Whether a session stands behind that one, among those that were last used at one moment."""
    beyond = sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, after.key))
    return sa.or_(last < after.last_at, sa.and_(last == after.last_at, beyond))


def _find(connection: sa.Connection, batch: Sequence[_Key], wanted: Filter) -> _Found:
    rows = matching(_I.session_id.in_({key.session_id for key in batch}), *_others(wanted))
    totals = _totals(connection, rows, wanted)
    first = {key: row.first_prompt_id for key, row in totals.items()}
    last = {key: row.last_prompt_id for key, row in totals.items()}
    return _Found(
        totals,
        _names(connection, rows),
        _tokens(connection, rows),
        _prompts(connection, batch, wanted, first, last=False),
        _prompts(connection, batch, wanted, last, last=True),
        _firsts(connection, totals),
    )


def _key(row: Any) -> _Key:
    return _Key(row.session_id, row.initiator_id)


def _keys(rows: sa.FromClause) -> _Keys:
    return rows.c.session_id, rows.c.initiator_id


def _totals(
    connection: sa.Connection, rows: sa.Subquery, wanted: Filter
) -> dict[_Key, sa.Row[Any]]:
    """The totals of each, and of what has ended the ids of the first, and of two prompts.

    Each of those is found by an index, however many the session has.
    """
    grouped = sa.select(
        *_keys(rows),
        sa.func.max(rows.c.username).label("username"),
        sa.func.max(rows.c.client).label("client"),
        sa.func.min(rows.c.started_at).label("started_at"),
        sa.func.max(rows.c.started_at).label("last_at"),
        sa.func.max(rows.c.ended_at).label("ended_at"),
        sa.func.count(rows.c.ended_at).label("ended"),
        sa.func.count().label("interceptions"),
        sa.func.count(sa.distinct(thread_of(rows.c))).label("threads"),
        *cost_sums.sums(rows.c),
    ).group_by(*_keys(rows))
    each = grouped.subquery()
    of = (_I.session_id == each.c.session_id, _I.initiator_id == each.c.initiator_id)
    ended = (PARTS[0], *of, *_others(wanted))
    first = sa.select(_I.id).where(*ended).order_by(_I.started_at)
    prompts = sa.select(user_prompts.c.id).select_from(_WITH_PROMPTS).where(*ended)
    picked = {
        "first_id": first,
        "first_prompt_id": prompts.order_by(*_order(last=False)),
        "last_prompt_id": prompts.order_by(*_order(last=True)),
    }
    ids = (
        statement.limit(1).correlate(each).scalar_subquery().label(name)
        for name, statement in picked.items()
    )
    return {_key(row): row for row in connection.execute(sa.select(each, *ids))}


def _names(connection: sa.Connection, rows: sa.Subquery) -> dict[_Key, list[tuple[str, str]]]:
    """The providers and models of each session, in pairs; at most `_PAIRS`."""
    pair = (rows.c.provider_name, rows.c.model)
    each = sa.select(*_keys(rows), *pair).distinct().subquery()
    order = (each.c.provider_name, each.c.model)
    number = sa.func.row_number().over(partition_by=_keys(each), order_by=order)
    numbered = sa.select(each, number.label("number")).subquery()
    columns = (*_keys(numbered), numbered.c.provider_name, numbered.c.model)
    found = defaultdict(list)
    statement = sa.select(*columns).where(numbered.c.number <= _PAIRS)
    for session_id, initiator_id, provider, model in connection.execute(statement):
        found[_Key(session_id, initiator_id)].append((provider, model))
    return found


def _tokens(connection: sa.Connection, rows: sa.Subquery) -> dict[_Key, dict[str, int]]:
    sums = (sa.func.sum(token_usages.c[name]).label(name) for name in TOKEN_COUNTS)
    statement = (
        sa.select(*_keys(rows), *sums)
        .select_from(rows.join(token_usages, token_usages.c.interception_id == rows.c.id))
        .group_by(*_keys(rows))
    )
    return {
        _key(row): {name: int(row._mapping[name]) for name in TOKEN_COUNTS}
        for row in connection.execute(statement)
    }


def _prompts(
    connection: sa.Connection,
    batch: Sequence[_Key],
    wanted: Filter,
    ended: dict[_Key, str | None],
    *,
    last: bool,
) -> dict[_Key, str]:
    """The beginning of each session's; one character more than is shown, if there is.

    `ended` are the ids of those of the interceptions that have ended.
    """
    found = _open_prompts(connection, batch, wanted, last=last)
    ids = [id for id in ended.values() if id is not None]
    for row in connection.execute(_PROMPTS.where(user_prompts.c.id.in_(ids))):
        key = _key(row)
        if key not in found or (found[key].started_at < row.started_at) is last:
            found[key] = row
    return {key: row.prompt for key, row in found.items()}


def _open_prompts(
    connection: sa.Connection, batch: Sequence[_Key], wanted: Filter, *, last: bool
) -> dict[_Key, Any]:
    # The ids first: joined with the prompts, SQLite would read all of those.
    open_ones = sa.select(_I.id).where(
        PARTS[1], _I.session_id.in_({key.session_id for key in batch}), *_others(wanted)
    )
    ids = connection.scalars(open_ones).all()
    statement = _PROMPTS.where(_I.id.in_(ids)).order_by(*_order(last=last))
    rows = connection.execute(statement).all() if ids else []
    return {_key(row): row for row in reversed(rows)}


def _order(*, last: bool) -> Sequence[sa.ColumnElement[Any]]:
    order: list[sa.ColumnElement[Any]] = [_I.started_at, user_prompts.c.id]
    return [column.desc() for column in order] if last else order


def _firsts(connection: sa.Connection, totals: dict[_Key, sa.Row[Any]]) -> dict[_Key, sa.Row[Any]]:
    """The first interception of each that has ended."""
    ids = [row.first_id for row in totals.values() if row.first_id is not None]
    columns = (_I.session_id, _I.initiator_id, _I.client, _I.user_agent, _I.metadata)
    statement: sa.Select[Any] = sa.select(*columns).where(_I.id.in_(ids))
    return {_key(row): row for row in connection.execute(statement)}


def _others(wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions beside that of the session, whose index is to be used."""
    return conditions(wanted, by_index=False)


_WITH_PROMPTS = interceptions.join(user_prompts, user_prompts.c.interception_id == _I.id)
_PROMPTS = sa.select(
    _I.session_id,
    _I.initiator_id,
    _I.started_at,
    sa.func.substr(user_prompts.c.prompt, 1, SHOWN_CHARACTERS + 1).label("prompt"),
).select_from(_WITH_PROMPTS)


def _session(row: sa.Row[Any], found: _Found) -> Session:
    key = _key(row)
    names = found.names.get(key, [])
    providers, models = ({pair[column] for pair in names} for column in (0, 1))
    first_prompt, last_prompt = found.first_prompts.get(key), found.last_prompts.get(key)
    first = found.firsts.get(key)
    cost, cost_label = cost_sums.of_row(row)
    return Session(
        session_id=row.session_id,
        initiator_id=row.initiator_id,
        username=row.username,
        client=first.client if first is not None else row.client,
        providers=sorted(providers)[:SHOWN_ROWS],
        models=sorted(models)[:SHOWN_ROWS],
        started_at=row.started_at,
        last_at=row.last_at,
        ended_at=row.ended_at if row.ended == row.interceptions else None,
        interceptions=row.interceptions,
        threads=row.threads,
        first_prompt=first_prompt and first_prompt[:SHOWN_CHARACTERS],
        last_prompt=last_prompt and last_prompt[:SHOWN_CHARACTERS],
        user_agent=first.user_agent if first is not None else None,
        metadata=first.metadata if first is not None else None,
        cost=cost,
        cost_label=cost_label,
        truncated=len(names) == _PAIRS
        or max(len(providers), len(models)) > SHOWN_ROWS
        or max(len(first_prompt or ""), len(last_prompt or "")) > SHOWN_CHARACTERS,
        **found.tokens.get(key, {}),
    )
