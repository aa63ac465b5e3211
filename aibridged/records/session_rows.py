"""Sessions with their totals, the first and the last prompt: those of a few keys at once."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.core.looks import WHY_WITHHELD, WITHHELD
from aibridged.core.money import NanoDollars
from aibridged.core.prices import DOLLAR
from aibridged.records import cost_sums
from aibridged.records.child_rows import SHOWN_CHARACTERS, SHOWN_ROWS
from aibridged.records.filters import PARTS, conditions, matching, thread_of
from aibridged.records.query_results import Filter, Session
from aibridged.records.schema import (
    TOKEN_COUNTS,
    interceptions,
    token_usages,
    user_prompts,
    usual_costs,
)
from aibridged.records.viewer import Sight

_AT_ONCE = 500
_FLOOR = DOLLAR
"""What costs no more is never unusual."""
_PAIRS = 10 * SHOWN_ROWS
"""Bound on the providers and models of a session, which callers determine."""

_I = interceptions.c

Keys = tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]


class Key(NamedTuple):
    """Key of a session: initiators may share an id."""

    session_id: str
    initiator_id: str


class _Found(NamedTuple):
    """The child data of some sessions."""

    sessions: dict[Key, sa.Row[Any]]
    names: dict[Key, list[tuple[str, str]]]
    tokens: dict[Key, dict[str, Any]]
    first_prompts: dict[Key, str]
    last_prompts: dict[Key, str]
    firsts: dict[Key, sa.Row[Any]]


def read_sessions(
    connection: sa.Connection, page: Sequence[Key], wanted: Filter, sight: Sight | None
) -> Iterator[Session]:
    """The sessions of these keys, in their order, of what matches; without a sight, no prompts.

    Raises:
        LookNotNotedError: prompts of others can't be shown.
    """
    for start in range(0, len(page), _AT_ONCE):
        batch = page[start : start + _AT_ONCE]
        found = _find(connection, batch, wanted, with_prompts=sight is not None)
        sessions = [_session(found.sessions[key], found) for key in batch]
        _mark(connection, sessions)
        if sight is not None:
            sight.look({each.initiator_id for each in sessions if each.first_prompt is not None})
        yield from (_seen(each, sight) for each in sessions)


def _mark(connection: sa.Connection, sessions: Sequence[Session]) -> None:
    """Mark what has cost more than usual."""
    known = _usual(connection, {each.initiator_id for each in sessions})
    for each in sessions:
        each.usual_cost = known.get(each.initiator_id)
        each.unusual = _is_unusual(each.cost, each.usual_cost)


def _seen(session: Session, sight: Sight | None) -> Session:
    if session.first_prompt is None or sight is None or sight.shows(session.initiator_id):
        return session
    return msgspec.structs.replace(
        session, first_prompt=WITHHELD, last_prompt=WITHHELD, texts_withheld=WHY_WITHHELD
    )


def _find(
    connection: sa.Connection, batch: Sequence[Key], wanted: Filter, *, with_prompts: bool
) -> _Found:
    rows = matching(_I.session_id.in_({key.session_id for key in batch}), *others(wanted))
    totals = _totals(connection, rows, wanted)
    first = {key: row.first_prompt_of for key, row in totals.items()}
    last = {key: row.last_prompt_of for key, row in totals.items()}
    return _Found(
        totals,
        _names(connection, rows),
        _tokens(connection, rows),
        _prompts(connection, batch, wanted, first, last=False) if with_prompts else {},
        _prompts(connection, batch, wanted, last, last=True) if with_prompts else {},
        _firsts(connection, totals),
    )


def key_of(row: Any) -> Key:
    """The key of a row that has its columns."""
    return Key(row.session_id, row.initiator_id)


def keys_of(rows: sa.FromClause) -> Keys:
    """The columns of the key."""
    return rows.c.session_id, rows.c.initiator_id


def _totals(connection: sa.Connection, rows: sa.Subquery, wanted: Filter) -> dict[Key, sa.Row[Any]]:
    """The totals of each, and of what has ended the ids of the first, and of those with a prompt.

    Each of those is found by an index, however many the session has.
    """
    grouped = sa.select(
        *keys_of(rows),
        sa.func.max(rows.c.username).label("username"),
        sa.func.max(rows.c.client).label("client"),
        sa.func.min(rows.c.started_at).label("started_at"),
        sa.func.max(rows.c.started_at).label("last_at"),
        sa.func.max(rows.c.ended_at).label("ended_at"),
        sa.func.count(rows.c.ended_at).label("ended"),
        sa.func.count().label("interceptions"),
        sa.func.count(sa.distinct(thread_of(rows.c))).label("threads"),
        *cost_sums.sums(rows.c),
    ).group_by(*keys_of(rows))
    each = grouped.subquery()
    of = (_I.session_id == each.c.session_id, _I.initiator_id == each.c.initiator_id)
    ended = (PARTS[0], *of, *others(wanted))
    first = sa.select(_I.id).where(*ended).order_by(_I.started_at)
    prompts = sa.select(_I.id).select_from(_WITH_PROMPTS).where(*ended)
    picked = {
        "first_id": first,
        "first_prompt_of": prompts.order_by(*_order(last=False)),
        "last_prompt_of": prompts.order_by(*_order(last=True)),
    }
    ids = (
        statement.limit(1).correlate(each).scalar_subquery().label(name)
        for name, statement in picked.items()
    )
    return {key_of(row): row for row in connection.execute(sa.select(each, *ids))}


def _names(connection: sa.Connection, rows: sa.Subquery) -> dict[Key, list[tuple[str, str]]]:
    """The providers and models of each session, in pairs; at most `_PAIRS`."""
    pair = (rows.c.provider_name, rows.c.model)
    each = sa.select(*keys_of(rows), *pair).distinct().subquery()
    order = (each.c.provider_name, each.c.model)
    number = sa.func.row_number().over(partition_by=keys_of(each), order_by=order)
    numbered = sa.select(each, number.label("number")).subquery()
    columns = (*keys_of(numbered), numbered.c.provider_name, numbered.c.model)
    found = defaultdict(list)
    statement = sa.select(*columns).where(numbered.c.number <= _PAIRS)
    for session_id, initiator_id, provider, model in connection.execute(statement):
        found[Key(session_id, initiator_id)].append((provider, model))
    return found


def _tokens(connection: sa.Connection, rows: sa.Subquery) -> dict[Key, dict[str, Any]]:
    sums = (sa.func.sum(token_usages.c[name]).label(name) for name in TOKEN_COUNTS)
    statement = (
        sa.select(*keys_of(rows), *sums)
        .select_from(rows.join(token_usages, token_usages.c.interception_id == rows.c.id))
        .group_by(*keys_of(rows))
    )
    return {
        key_of(row): {name: int(row._mapping[name]) for name in TOKEN_COUNTS}
        for row in connection.execute(statement)
    }


def _prompts(
    connection: sa.Connection,
    batch: Sequence[Key],
    wanted: Filter,
    ended: dict[Key, str | None],
    *,
    last: bool,
) -> dict[Key, str]:
    """The beginning of each session's; one character more than is shown, if there is.

    `ended` are the ids of those of the interceptions that have ended, with the prompt.
    """
    # The ids first: joined with the prompts, SQLite would read all of those.
    open_ones = sa.select(_I.id).where(
        PARTS[1], _I.session_id.in_({key.session_id for key in batch}), *others(wanted)
    )
    ids = [*connection.scalars(open_ones), *(id for id in ended.values() if id is not None)]
    statement = _PROMPTS.where(_I.id.in_(ids)).order_by(*_order(last=last))
    rows = connection.execute(statement).all() if ids else []
    return {key_of(row): row.prompt for row in reversed(rows)}


def _order(*, last: bool) -> Sequence[sa.ColumnElement[Any]]:
    order: list[sa.ColumnElement[Any]] = [_I.started_at, user_prompts.c.id]
    return [column.desc() for column in order] if last else order


def _firsts(connection: sa.Connection, totals: dict[Key, sa.Row[Any]]) -> dict[Key, sa.Row[Any]]:
    """The first interception of each that has ended."""
    ids = [row.first_id for row in totals.values() if row.first_id is not None]
    columns = (_I.session_id, _I.initiator_id, _I.client, _I.user_agent, _I.metadata)
    statement: sa.Select[Any] = sa.select(*columns).where(_I.id.in_(ids))
    return {key_of(row): row for row in connection.execute(statement)}


def others(wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
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
    key = key_of(row)
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


def _usual(connection: sa.Connection, initiators: Collection[str]) -> Mapping[str, NanoDollars]:
    """What sessions usually cost, by the initiators of whom it is known."""
    found = usual_costs.c
    statement = sa.select(found.initiator_id, found.cost_nanos).where(
        found.initiator_id.in_(initiators)
    )
    return {id: NanoDollars(cost) for id, cost in connection.execute(statement)}


def _is_unusual(cost: int | None, usual_cost: int | None) -> bool:
    """Whether a session costs more than usual, and enough to matter."""
    return cost is not None and usual_cost is not None and cost > max(usual_cost, _FLOOR)
