"""Aggregates of the interceptions of a session, for a few sessions at once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.records.child_rows import SHOWN_CHARACTERS, SHOWN_ROWS
from aibridged.records.filters import conditions, matching, thread_of
from aibridged.records.query_results import Filter, Session
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages, user_prompts

_AT_ONCE = 20

_I = interceptions.c


class _Key(NamedTuple):
    """Key of a session: initiators may share an id."""

    session_id: str
    initiator_id: str


class _Found(NamedTuple):
    """The child data of some sessions."""

    providers: dict[_Key, list[str]]
    models: dict[_Key, list[str]]
    tokens: dict[_Key, dict[str, int]]
    prompts: dict[_Key, str]


def find_sessions(connection: sa.Connection, wanted: Filter) -> Iterator[Session]:
    """A page of the sessions of the matching interceptions, most recently used first."""
    last = sa.func.max(_I.started_at).label("last_at")
    page = connection.execute(
        sa.select(
            _I.session_id,
            _I.initiator_id,
            sa.func.max(_I.username).label("username"),
            sa.func.max(_I.client).label("client"),
            sa.func.min(_I.started_at).label("started_at"),
            last,
            sa.func.max(_I.ended_at).label("ended_at"),
            sa.func.count(_I.ended_at).label("ended"),
            sa.func.count().label("interceptions"),
            sa.func.count(sa.distinct(thread_of(_I))).label("threads"),
        )
        .where(*conditions(wanted))
        .group_by(_I.session_id, _I.initiator_id)
        .order_by(last.desc(), _I.session_id, _I.initiator_id)
        .limit(wanted.limit)
        .offset(wanted.offset)
    ).all()
    for start in range(0, len(page), _AT_ONCE):
        batch = page[start : start + _AT_ONCE]
        found = _find(connection, batch, wanted)
        yield from (_session(row, found) for row in batch)


def count_sessions(connection: sa.Connection, wanted: Filter) -> int:
    """The number of sessions on all pages."""
    each = sa.select(_I.session_id, _I.initiator_id).where(*conditions(wanted)).distinct()
    return connection.scalar(sa.select(sa.func.count()).select_from(each.subquery())) or 0


def _find(connection: sa.Connection, batch: Sequence[Any], wanted: Filter) -> _Found:
    rows = matching(_I.session_id.in_([row.session_id for row in batch]), *conditions(wanted))
    return _Found(
        _names(connection, rows, "provider_name"),
        _names(connection, rows, "model"),
        _tokens(connection, rows),
        _last_prompts(connection, rows),
    )


def _key(row: Any) -> _Key:
    return _Key(row.session_id, row.initiator_id)


def _keys(rows: sa.Subquery) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    return rows.c.session_id, rows.c.initiator_id


def _names(connection: sa.Connection, rows: sa.Subquery, column: str) -> dict[_Key, list[str]]:
    """The providers or models of each session, sorted; one more than shown, if there are more."""
    each = sa.select(*_keys(rows), rows.c[column].label("name")).distinct().subquery()
    number = sa.func.row_number().over(partition_by=_keys(each), order_by=each.c.name)
    numbered = sa.select(each, number.label("number")).subquery()
    statement = sa.select(numbered).where(numbered.c.number <= SHOWN_ROWS + 1)
    found = defaultdict(list)
    for row in connection.execute(statement):
        found[_key(row)].append(row.name)
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


def _last_prompts(connection: sa.Connection, rows: sa.Subquery) -> dict[_Key, str]:
    """The beginnings of the last prompts; one more character than shown, if there are more."""
    number = sa.func.row_number().over(
        partition_by=_keys(rows), order_by=(rows.c.started_at.desc(), user_prompts.c.id.desc())
    )
    # Only the ids are sorted, and only the texts that are shown are read.
    numbered = (
        sa.select(*_keys(rows), user_prompts.c.id, number.label("number"))
        .select_from(rows.join(user_prompts, user_prompts.c.interception_id == rows.c.id))
        .subquery()
    )
    prompt = sa.func.substr(user_prompts.c.prompt, 1, SHOWN_CHARACTERS + 1).label("prompt")
    statement = (
        sa.select(*_keys(numbered), prompt)
        .join(user_prompts, user_prompts.c.id == numbered.c.id)
        .where(numbered.c.number == 1)
    )
    return {_key(row): row.prompt for row in connection.execute(statement)}


def _session(row: sa.Row[Any], found: _Found) -> Session:
    key = _key(row)
    providers, models = found.providers.get(key, []), found.models.get(key, [])
    prompt = found.prompts.get(key)
    return Session(
        session_id=row.session_id,
        initiator_id=row.initiator_id,
        username=row.username,
        client=row.client,
        providers=sorted(providers[:SHOWN_ROWS]),
        models=sorted(models[:SHOWN_ROWS]),
        started_at=row.started_at,
        last_at=row.last_at,
        ended_at=row.ended_at if row.ended == row.interceptions else None,
        interceptions=row.interceptions,
        threads=row.threads,
        last_prompt=prompt[:SHOWN_CHARACTERS] if prompt is not None else None,
        truncated=max(len(providers), len(models)) > SHOWN_ROWS
        or len(prompt or "") > SHOWN_CHARACTERS,
        **found.tokens.get(key, {}),
    )
