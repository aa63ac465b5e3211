"""Asking what was recorded: interceptions, sessions, totals. Read-only, and with a time limit.

Each question has a connection of its own, so that the writer's is never waited for: in WAL mode
SQLite's readers see a snapshot and hold nobody up, and none of our connections makes checkpoints
(see `database`). Everything here blocks and belongs into a thread.
"""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock
from aibridged.records.answers import Filter, Interception, Row, Session, Usage, UsageBy
from aibridged.records.conditions import PARTS, conditions, matching, row_id, thread_of
from aibridged.records.schema import (
    interceptions,
    model_thoughts,
    token_usages,
    tool_usages,
    user_prompts,
)
from aibridged.records.sessions import count_sessions, find_sessions

MAX_LIMIT = 1000
TIME_LIMIT_S = 10.0
_STEPS = 20_000  # of SQLite's virtual machine, between two looks at the clock

_I = interceptions.c
_CHILDREN = {
    "token_usages": token_usages,
    "user_prompts": user_prompts,
    "tool_usages": tool_usages,
    "model_thoughts": model_thoughts,
}
_COLUMNS = [name for name in Interception.__struct_fields__ if name not in _CHILDREN]


class QueryFailedError(Exception):
    """A question without an answer; the message is for people."""


class NoSuchPageError(QueryFailedError):
    """There is no interception to go on after."""


class TookTooLongError(QueryFailedError):
    """The time is up; the message says how to ask for less."""


_KEYS: dict[UsageBy, Callable[[], sa.ColumnElement[Any]]] = {
    UsageBy.USER: lambda: sa.func.coalesce(_I.username, _I.initiator_id),
    UsageBy.MODEL: lambda: _I.model,
    UsageBy.PROVIDER: lambda: _I.provider_name,
    UsageBy.CLIENT: lambda: _I.client,
    UsageBy.DAY: lambda: sa.func.date(_I.started_at, type_=sa.String),
}


class Query:
    """Questions to one database. `time_limit` is in seconds, for one question."""

    def __init__(
        self, engine: sa.Engine, clock: Clock, *, time_limit: float = TIME_LIMIT_S
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._time_limit = time_limit

    def interceptions(self, wanted: Filter) -> list[Interception]:
        """The newest first, at most `limit`. Pages by `after_id` neither repeat nor skip.

        With `oldest_first` the other way round.

        Raises:
            NoSuchPageError: there is no `after_id`, or it isn't `owner`'s.
            QueryFailedError: the time is up, or the database is away.
        """
        with self._connect() as connection:
            where = list(conditions(wanted))
            if wanted.after_id is not None:
                where.append(_after(connection, wanted.after_id, wanted))
            parts = [
                sa.select(interceptions)
                .where(part, *where)
                .order_by(*_order(_I, wanted))
                .limit(wanted.offset + wanted.limit)
                .subquery()
                for part in PARTS
            ]
            both = sa.union_all(*map(sa.select, parts)).subquery()
            statement = (
                sa.select(both)
                .order_by(*_order(both.c, wanted))
                .limit(wanted.limit)
                .offset(wanted.offset)
            )
            return _with_children(connection, connection.execute(statement).all())

    def count(self, wanted: Filter) -> int:
        """How many there are on all pages."""
        statement = sa.select(sa.func.count()).select_from(interceptions)
        with self._connect() as connection:
            return connection.scalar(statement.where(*conditions(wanted))) or 0

    def interception(self, id: str, initiator: str | None = None) -> Interception | None:
        """One interception; None where there is none, or it isn't `initiator`'s."""
        if (found := row_id(id)) is None:
            return None
        with self._connect() as connection:
            statement = sa.select(interceptions).where(_I.id == found)
            if initiator is not None:
                statement = statement.where(_I.initiator_id == initiator)
            rows = connection.execute(statement).all()
            return next(iter(_with_children(connection, rows)), None)

    def sessions(self, wanted: Filter) -> list[Session]:
        """The sessions of the interceptions that match, those used last first."""
        with self._connect() as connection:
            return find_sessions(connection, wanted)

    def count_sessions(self, wanted: Filter) -> int:
        """How many there are on all pages."""
        with self._connect() as connection:
            return count_sessions(connection, wanted)

    def session(
        self,
        session_id: str,
        initiator: str | None = None,
        *,
        after_id: str | None = None,
        limit: int | None = None,
    ) -> list[Interception]:
        """The interceptions of a session in order, each thread's together, threads by their start.

        Where callers happen to use the same session id, `initiator` (an id) tells them apart.
        A page has at most `limit`, and the one after it follows on its last, `after_id`.

        Raises:
            NoSuchPageError: `after_id` isn't of this session.
            QueryFailedError: the time is up, or the database is away.
        """
        rows = matching(*conditions(Filter(session=session_id, owner=initiator)))
        root = thread_of(rows.c)
        began = sa.func.min(rows.c.started_at).over(partition_by=root)
        table = sa.select(rows, began.label("began"), root.label("root")).subquery()
        each = table.c
        order = (each.began, each.root, each.started_at, each.id)
        statement = sa.select(table).order_by(*order).limit(limit)
        with self._connect() as connection:
            if after_id is not None:
                last = connection.execute(
                    sa.select(*order).where(each.id == row_id(after_id))
                ).one_or_none()
                if last is None:
                    raise NoSuchPageError(f"The session has no interception {after_id!r}.")
                position = (sa.literal(at, by.type) for at, by in zip(last, order, strict=True))
                statement = statement.where(sa.tuple_(*order) > sa.tuple_(*position))
            return _with_children(connection, connection.execute(statement).all())

    def usage(self, by: UsageBy, wanted: Filter) -> list[Usage]:
        """Totals, those with the most tokens first; days newest first."""
        key = _KEYS[by]().label("key")
        sums = [
            sa.func.coalesce(sa.func.sum(token_usages.c[name]), 0).label(name)
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_read_input_tokens",
                "cache_write_input_tokens",
            )
        ]
        statement = (
            sa.select(key, sa.func.count(sa.distinct(_I.id)).label("interceptions"), *sums)
            .select_from(interceptions.outerjoin(token_usages))
            .where(*conditions(wanted))
            .group_by(key)
        )
        with self._connect() as connection:
            totals = [_usage(row) for row in connection.execute(statement)]
        if by is UsageBy.DAY:
            totals.sort(key=lambda usage: usage.key, reverse=True)
        else:
            totals.sort(key=lambda usage: (-_all_tokens(usage), usage.key))
        return totals[: wanted.limit]

    def models(self, initiator: str | None = None) -> list[str]:
        """All models that were asked, in order of their names."""
        return self._distinct(_I.model, initiator)

    def clients(self, initiator: str | None = None) -> list[str]:
        """All clients that asked, in order of their names."""
        return self._distinct(_I.client, initiator)

    def _distinct(self, column: sa.ColumnElement[str], initiator: str | None) -> list[str]:
        statement = sa.select(column).distinct().order_by(column)
        if initiator is not None:
            statement = statement.where(_I.initiator_id == initiator)
        with self._connect() as connection:
            return [row[0] for row in connection.execute(statement)]

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        """A connection that changes nothing and gives up when the time is up."""
        try:
            with self._engine.connect() as connection:
                self._restrain(connection)
                yield connection
        except DBAPIError as error:
            if "interrupted" in str(error.orig) or "statement timeout" in str(error.orig):
                raise TookTooLongError(
                    f"The answer took longer than {self._time_limit:g} s: ask for less, "
                    "with a shorter time or a filter."
                ) from None
            reason = str(error.orig).partition("\n")[0]
            raise QueryFailedError(f"The database can't be read: {reason}") from None

    def _restrain(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            ends = self._clock.monotonic() + self._time_limit
            driver: Any = connection.connection.dbapi_connection
            driver.set_progress_handler(lambda: self._clock.monotonic() > ends, _STEPS)
            connection.exec_driver_sql("PRAGMA query_only = ON")
        else:
            # All statements see one moment, as SQLite's do: what ends meanwhile isn't skipped.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            connection.exec_driver_sql(
                f"SET LOCAL statement_timeout = {round(self._time_limit * 1000)}"
            )


def _order(columns: Any, wanted: Filter) -> tuple[sa.ColumnElement[Any], ...]:
    order = (columns.started_at, columns.id)
    return order if wanted.oldest_first else tuple(column.desc() for column in order)


def _after(connection: sa.Connection, id: str, wanted: Filter) -> sa.ColumnElement[bool]:
    statement = sa.select(_I.started_at, _I.id).where(_I.id == row_id(id))
    if wanted.owner is not None:
        statement = statement.where(_I.initiator_id == wanted.owner)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NoSuchPageError(f"There is no interception {id!r} to go on after.")
    beyond = operator.gt if wanted.oldest_first else operator.lt
    return sa.or_(
        beyond(_I.started_at, row.started_at),
        sa.and_(_I.started_at == row.started_at, beyond(_I.id, row.id)),
    )


def _with_children(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[Interception]:
    ids = [row.id for row in rows]
    children: dict[str, dict[str, list[Row]]] = {}
    for name, table in _CHILDREN.items():
        grouped = children[name] = defaultdict(list)
        # In parts, for a statement takes only so many values.
        for start in range(0, len(ids), MAX_LIMIT):
            statement = (
                sa.select(table)
                .where(table.c.interception_id.in_(ids[start : start + MAX_LIMIT]))
                .order_by(table.c.created_at, table.c.id)
            )
            for child in connection.execute(statement):
                fields = dict(child._mapping)
                grouped[fields.pop("interception_id")].append(fields)
    return [_interception(row, children) for row in rows]


def _interception(row: sa.Row[Any], children: dict[str, dict[str, list[Row]]]) -> Interception:
    fields: dict[str, Any] = {name: row._mapping[name] for name in _COLUMNS}
    fields |= {name: grouped[row.id] for name, grouped in children.items()}
    return Interception(**fields)


def _usage(row: sa.Row[Any]) -> Usage:
    counts = {name: int(row._mapping[name]) for name in row._mapping if name != "key"}
    read = counts["cache_read_input_tokens"]
    given = counts["input_tokens"] + read + counts["cache_write_input_tokens"]
    return Usage(key=str(row.key), cached_share=read / given if given else None, **counts)


def _all_tokens(usage: Usage) -> int:
    return (
        usage.input_tokens
        + usage.output_tokens
        + usage.cache_read_input_tokens
        + usage.cache_write_input_tokens
    )
