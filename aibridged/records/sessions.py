"""What the interceptions of a session come to, for a page of sessions at once."""

from collections import defaultdict
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.records.answers import Filter, Session
from aibridged.records.conditions import conditions, matching, thread_of
from aibridged.records.schema import interceptions, token_usages, user_prompts

_I = interceptions.c
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
)


class _Key(NamedTuple):
    """Sessions of several initiators may have one id."""

    session_id: str
    initiator_id: str


def find_sessions(connection: sa.Connection, wanted: Filter) -> list[Session]:
    """A page of the sessions of the interceptions that match, those used last first."""
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
    rows = matching(_I.session_id.in_([row.session_id for row in page]), *conditions(wanted))
    names = _names(connection, rows)
    tokens = _tokens(connection, rows)
    prompts = _last_prompts(connection, rows)
    return [_session(row, names, tokens, prompts) for row in page]


def count_sessions(connection: sa.Connection, wanted: Filter) -> int:
    """How many there are on all pages."""
    each = sa.select(_I.session_id, _I.initiator_id).where(*conditions(wanted)).distinct()
    return connection.scalar(sa.select(sa.func.count()).select_from(each.subquery())) or 0


def _key(row: Any) -> _Key:
    return _Key(row.session_id, row.initiator_id)


def _keys(rows: sa.Subquery) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    return rows.c.session_id, rows.c.initiator_id


def _names(connection: sa.Connection, rows: sa.Subquery) -> dict[_Key, list[tuple[str, str]]]:
    """The providers and models of each session."""
    found = defaultdict(list)
    names = (rows.c.provider_name, rows.c.model)
    for row in connection.execute(sa.select(*_keys(rows), *names).distinct()):
        found[_key(row)].append((row.provider_name, row.model))
    return found


def _tokens(connection: sa.Connection, rows: sa.Subquery) -> dict[_Key, dict[str, int]]:
    sums = (sa.func.sum(token_usages.c[name]).label(name) for name in _TOKENS)
    statement = (
        sa.select(*_keys(rows), *sums)
        .select_from(rows.join(token_usages, token_usages.c.interception_id == rows.c.id))
        .group_by(*_keys(rows))
    )
    return {
        _key(row): {name: int(row._mapping[name]) for name in _TOKENS}
        for row in connection.execute(statement)
    }


def _last_prompts(connection: sa.Connection, rows: sa.Subquery) -> dict[_Key, str]:
    order = (user_prompts.c.created_at.desc(), user_prompts.c.id.desc())
    number = sa.func.row_number().over(partition_by=_keys(rows), order_by=order)
    numbered = (
        sa.select(*_keys(rows), user_prompts.c.prompt, number.label("number"))
        .select_from(rows.join(user_prompts, user_prompts.c.interception_id == rows.c.id))
        .subquery()
    )
    statement = sa.select(numbered).where(numbered.c.number == 1)
    return {_key(row): row.prompt for row in connection.execute(statement)}


def _session(
    row: sa.Row[Any],
    names: dict[_Key, list[tuple[str, str]]],
    tokens: dict[_Key, dict[str, int]],
    prompts: dict[_Key, str],
) -> Session:
    key = _key(row)
    return Session(
        session_id=row.session_id,
        initiator_id=row.initiator_id,
        username=row.username,
        client=row.client,
        providers=sorted({provider for provider, _ in names[key]}),
        models=sorted({model for _, model in names[key]}),
        started_at=row.started_at,
        last_at=row.last_at,
        ended_at=row.ended_at if row.ended == row.interceptions else None,
        interceptions=row.interceptions,
        threads=row.threads,
        last_prompt=prompts.get(key),
        **tokens.get(key, {}),
    )
