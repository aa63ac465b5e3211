"""The record as flat rows, all that match, however many: interceptions, sessions, usage.

Rows of interceptions and sessions are read a page at a time, each page in a short transaction of
its own, and a page follows on the last row of the one before. So the memory doesn't grow with the
record, and nothing is being read while a page is written somewhere, which may take hours: an open
read would keep SQLite's write-ahead log from being emptied, and PostgreSQL from vacuuming.

What started before the export is in it once. A row that ends meanwhile, or is deleted, is as its
page has found it.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.core.looks import View
from aibridged.records.child_rows import ChildRows
from aibridged.records.filters import conditions, page_of, resolved
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, Interception, Session, UsageBy
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages
from aibridged.records.sessions import Position, session_page
from aibridged.records.viewer import Sight, listed

ROWS_AT_ONCE = 1000
SESSIONS_AT_ONCE = 500
_WITH_TEXTS_AT_ONCE = 100
TEXT_AT_ONCE = 4 * 1024 * 1024
"""Characters of text after which a page ends. One interception may have as much."""


class Type(StrEnum):
    """Type of a column. Any value may be missing."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    JSON = "json"
    DOLLARS = "dollars"
    """An amount of nano-dollars, which files have as exact dollars."""


class Field(NamedTuple):
    """A column of an export. `is_text`: it has what people, models or providers wrote."""

    name: str
    type: Type
    is_text: bool = False


Values = Sequence[Any]
"""A row, in the order of the fields."""

_COUNTED = tuple(Field(name, Type.INTEGER) for name in TOKEN_COUNTS)
_COST = (Field("cost", Type.DOLLARS), Field("cost_label", Type.TEXT))
INTERCEPTION_FIELDS = (
    Field("id", Type.TEXT),
    Field("started_at", Type.TIME),
    Field("ended_at", Type.TIME),
    Field("initiator_id", Type.TEXT),
    Field("username", Type.TEXT),
    Field("api_key_id", Type.TEXT),
    Field("provider", Type.TEXT),
    Field("provider_name", Type.TEXT),
    Field("model", Type.TEXT),
    Field("client", Type.TEXT),
    Field("user_agent", Type.TEXT),
    Field("session_id", Type.TEXT),
    Field("client_session_id", Type.TEXT),
    Field("thread_root_id", Type.TEXT),
    Field("thread_parent_id", Type.TEXT),
    Field("credential_kind", Type.TEXT),
    Field("credential_hint", Type.TEXT),
    Field("outcome", Type.TEXT),
    Field("status_code", Type.INTEGER),
    Field("background_status", Type.TEXT),
    Field("error_type", Type.TEXT),
    Field("error_source", Type.TEXT),
    Field("error_code", Type.TEXT),
    Field("time_to_first_byte_ms", Type.INTEGER),
    Field("usage_partial", Type.BOOLEAN),
    Field("metadata", Type.JSON),
    *_COUNTED,
    *_COST,
    Field("error_message", Type.TEXT, is_text=True),
    Field("prompts", Type.JSON, is_text=True),
    Field("tool_calls", Type.JSON, is_text=True),
    Field("thoughts", Type.JSON, is_text=True),
)
SESSION_FIELDS = (
    Field("session_id", Type.TEXT),
    Field("initiator_id", Type.TEXT),
    Field("username", Type.TEXT),
    Field("client", Type.TEXT),
    Field("user_agent", Type.TEXT),
    Field("providers", Type.JSON),
    Field("models", Type.JSON),
    Field("started_at", Type.TIME),
    Field("last_at", Type.TIME),
    Field("ended_at", Type.TIME),
    Field("interceptions", Type.INTEGER),
    Field("threads", Type.INTEGER),
    *_COUNTED,
    *_COST,
    Field("first_prompt", Type.TEXT, is_text=True),
    Field("last_prompt", Type.TEXT, is_text=True),
)
_USAGE_NUMBERS = (
    Field("interceptions", Type.INTEGER),
    *_COUNTED,
    Field("cached_share", Type.NUMBER),
    Field("refused", Type.INTEGER),
    *_COST,
)

_COLUMNS = [
    interceptions.c[field.name]
    for field in INTERCEPTION_FIELDS
    if field.name in interceptions.c and not field.is_text and field not in _COST
]
_COST_COLUMNS = [interceptions.c.cost_nanos, interceptions.c.cost_label]
_NO_TOKENS = (0,) * len(TOKEN_COUNTS)
_CALL = ("tool", "input", "server_url", "injected", "invocation_error")
_I = interceptions.c


def without_texts(fields: Sequence[Field]) -> Sequence[Field]:
    """The columns of an export that leaves texts out."""
    return [field for field in fields if not field.is_text]


def usage_fields(by: Sequence[UsageBy]) -> Sequence[Field]:
    """The columns of an export of usage."""
    return [*(Field(each.value, Type.TEXT) for each in by), *_USAGE_NUMBERS]


def export_interceptions(
    query: Query, wanted: Filter, *, with_texts: bool
) -> Iterator[Sequence[Values]]:
    """All that match, oldest first, in pages. The filter's limit and offset don't count.

    Raises:
        QueryFailedError: it took too long, or the database is unavailable.
    """
    with query.reading() as connection:
        wanted = resolved(connection, wanted)
    sight = query.sight(View.EXPORT, **listed("interceptions", wanted))
    where, after = list(conditions(wanted)), None
    while True:
        with query.reading() as connection:
            if with_texts:
                page, after = _with_texts(connection, where, after, sight)
            else:
                page, after = _without_texts(connection, where, after)
        if not page:
            return
        yield page


_Place = tuple[Any, str] | None
"""When an interception started, and its id: that of the last of a page."""


def _page(
    columns: Sequence[Any], where: Sequence[sa.ColumnElement[bool]], after: _Place, limit: int
) -> sa.Select[Any]:
    order = (_I.started_at, _I.id)
    if after is not None:
        place = (sa.literal(at, by.type) for at, by in zip(after, order, strict=True))
        where = [*where, sa.tuple_(*order) > sa.tuple_(*place)]
    return page_of(columns, where, lambda each: (each.started_at, each.id), limit)


def _without_texts(
    connection: sa.Connection, where: Sequence[sa.ColumnElement[bool]], after: _Place
) -> tuple[Sequence[Values], _Place]:
    columns = [*_COLUMNS, *_COST_COLUMNS]
    rows = connection.execute(_page(columns, where, after, ROWS_AT_ONCE)).all()
    if not rows:
        return [], None
    tokens = _tokens(connection, [row[0] for row in rows])
    of_end = -len(_COST_COLUMNS)
    page = [(*row[:of_end], *tokens.get(row[0], _NO_TOKENS), *row[of_end:]) for row in rows]
    return page, (rows[-1].started_at, rows[-1].id)


def _tokens(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, Sequence[int]]:
    found: dict[str, Sequence[int]] = {}
    for id, *counts in connection.execute(_TOKENS, {"ids": ids}):
        if id in found:
            counts = [a + b for a, b in zip(found[id], counts, strict=True)]
        found[id] = counts
    return found


_TOKENS = sa.select(
    token_usages.c.interception_id, *(token_usages.c[name] for name in TOKEN_COUNTS)
).where(token_usages.c.interception_id.in_(sa.bindparam("ids", expanding=True)))


def _with_texts(
    connection: sa.Connection,
    where: Sequence[sa.ColumnElement[bool]],
    after: _Place,
    sight: Sight,
) -> tuple[Sequence[Values], _Place]:
    """As many as have so much text, at least one if there is one."""
    rows = connection.execute(_page(list(_I), where, after, _WITH_TEXTS_AT_ONCE)).all()
    page: list[Values] = []
    characters = 0
    for full in ChildRows(connection, [row.id for row in rows], sight).full(rows):
        each = full.collected()
        page.append(_values(each))
        after = (each.started_at, each.id)
        characters += _length(each)
        if characters >= TEXT_AT_ONCE:
            break
    return page, after


def _values(each: Interception) -> Values:
    calls = [{name: call[name] for name in _CALL} for call in each.tool_usages]
    return (
        *(getattr(each, column.name) for column in _COLUMNS),
        *(each.tokens(name) for name in TOKEN_COUNTS),
        each.cost,
        each.cost_label,
        each.error_message,
        [prompt["prompt"] for prompt in each.user_prompts],
        calls,
        [thought["content"] for thought in each.model_thoughts],
    )


def _length(each: Interception) -> int:
    rows = (*each.user_prompts, *each.tool_usages, *each.model_thoughts)
    return sum(len(value) for row in rows for value in row.values() if isinstance(value, str))


def export_sessions(
    query: Query, wanted: Filter, *, with_texts: bool
) -> Iterator[Sequence[Values]]:
    """All that match, most recently used first, in pages, as a list of sessions has them.

    Raises:
        QueryFailedError: it took too long, or the database is unavailable.
    """
    fields = SESSION_FIELDS if with_texts else without_texts(SESSION_FIELDS)
    with query.reading() as connection:
        wanted = resolved(connection, wanted)
    sight = query.sight(View.EXPORT, **listed("sessions", wanted)) if with_texts else None
    after: Position | None = None
    while True:
        with query.reading() as connection:
            sessions, after = session_page(connection, wanted, after, SESSIONS_AT_ONCE, sight)
        if not sessions:
            return
        yield [_session(each, fields) for each in sessions]


def _session(each: Session, fields: Sequence[Field]) -> Values:
    return [getattr(each, field.name) for field in fields]


def export_usage(query: Query, by: Sequence[UsageBy], wanted: Filter) -> Iterator[Sequence[Values]]:
    """The totals of all combinations, in the order of a list of them, in pages.

    They are of one read, which lasts until the last one is taken.

    Raises:
        QueryFailedError: it took too long, or the database is unavailable.
    """
    names = [field.name for field in _USAGE_NUMBERS]
    page: list[Values] = []
    for each in query.each_usage(by, wanted):
        page.append([*each.by.values(), *(getattr(each, name) for name in names)])
        if len(page) == ROWS_AT_ONCE:
            yield page
            page = []
    if page:
        yield page
