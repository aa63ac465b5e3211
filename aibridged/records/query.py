"""Queries of the record: interceptions, sessions, usage. Read-only, with a deadline.

Each query has a connection of its own, so it never waits for the writer's: in WAL mode SQLite's
readers see a snapshot and block nobody, and none of our connections makes checkpoints (see
`database`). Results are iterators that read a few rows at a time, to bound the memory; the
connection is open until the iterator is exhausted or closed. Everything here blocks and belongs
in a thread.
"""

import operator
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.core.looks import View
from aibridged.records.cancel_scope import TIME_LIMIT_S, CancelScope, QueryFailedError
from aibridged.records.child_rows import ChildRows, FullInterception
from aibridged.records.cost_sums import Cost
from aibridged.records.filters import (
    PARTS,
    conditions,
    matching,
    page_of,
    resolved,
    row_id,
    thread_of,
)
from aibridged.records.id_prefixes import find_interception, find_session
from aibridged.records.names import find_names
from aibridged.records.query_results import (
    Filter,
    Interception,
    Names,
    Session,
    Usage,
    UsageBy,
)
from aibridged.records.recorded_usage import Price
from aibridged.records.schema import interceptions
from aibridged.records.sessions import NoSuchSessionError, count_sessions, find_sessions
from aibridged.records.threads import find_threads, sum_costs, sum_metadata
from aibridged.records.usage import find_usage, stream_usage
from aibridged.records.viewer import Sight, Viewer, listed

MAX_LIMIT = 1000
MAX_NAMES = 10_000
"""Bound on the models or clients in a list, whose number callers determine."""

_AT_ONCE = 20  # interceptions, with the beginnings of their child rows
_FULL_AT_ONCE = 100  # with the ids of those

_I = interceptions.c


class NoSuchPageError(QueryFailedError):
    """There is nothing with the id that the page is to follow on."""


class Query:
    """Queries of one database, as a viewer sees it.

    All may share one `scope`; else each has its own, of `time_limit` seconds.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock,
        viewer: Viewer,
        *,
        time_limit: float = TIME_LIMIT_S,
        scope: CancelScope | None = None,
        price: Price | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._viewer = viewer
        self._time_limit = time_limit
        self._scope = scope
        self.price = price

    def now(self) -> datetime:
        """The time (UTC) that questions about the present mean."""
        return self._clock.wall()

    def within(self, scope: CancelScope) -> "Query":
        """The same queries, bound by a scope."""
        return self._but(scope=scope)

    def seen_by(self, viewer: Viewer) -> "Query":
        """The same queries, for another viewer."""
        return self._but(viewer=viewer)

    def priced_by(self, price: Price) -> "Query":
        """The same queries, with prices for what was lost of the prompt cache."""
        return self._but(price=price)

    def sight(self, view: View, **what: Any) -> Sight:
        """What the viewer sees in one of them."""
        return Sight(self._viewer, view, what)

    def interceptions(self, wanted: Filter, *, with_texts: bool = True) -> Iterator[Interception]:
        """The newest first, at most `limit`, each with previews of its child rows.

        Pages by `after_id` neither repeat nor skip. `oldest_first` reverses the order. Without
        texts, only errors have any, and of the child rows there are the token usages alone.

        Raises:
            NoSuchPageError: there is no `after_id`, or it isn't `owner`'s.
            LookNotNotedError: texts of others can't be shown.
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with self._connect() as connection:
            wanted = resolved(connection, wanted)
            where = list(conditions(wanted))
            if wanted.after_id is not None:
                where.append(_after(connection, wanted.after_id, wanted))
            statement = page_of(
                list(_I), where, partial(_order, wanted), wanted.limit, wanted.offset
            )
            sight = self.sight(View.LIST, **listed("interceptions", wanted))
            for rows, children in self._read(connection, statement, sight, with_texts):
                yield from children.previews(rows)

    def count(self, wanted: Filter) -> int:
        """The number of interceptions on all pages."""
        with self._connect() as connection:
            where = list(conditions(resolved(connection, wanted)))
            statement = sa.select(sa.func.count()).select_from(interceptions)
            return sum(connection.scalar(statement.where(part, *where)) or 0 for part in PARTS)

    def preview(self, id: str, wanted: Filter, *, with_texts: bool = True) -> Interception | None:
        """One interception as in a list of what is `wanted`; None where there is none."""
        sight = self.sight(View.LIST, **listed("interceptions", wanted))
        with self._connect() as connection:
            one = _one(row_id(id), None)
            for rows, children in self._read(connection, one, sight, with_texts):
                return next(children.previews(rows), None)
            return None

    def interception(self, id: str, initiator: str | None = None) -> Interception | None:
        """One full interception; None where there is none, or it isn't `initiator`'s.

        Of the id, the first characters are enough.

        Raises:
            AmbiguousIdError: several begin like this.
        """
        with closing(self.full(id, initiator)) as found:
            return next((each.collected() for each in found), None)

    def full(
        self, id: str, initiator: str | None = None, *, characters: int | None = None
    ) -> Generator[FullInterception]:
        """The same, or nothing, with its child rows as iterators."""
        with self._connect() as connection:
            found = find_interception(connection, id, initiator)
            sight = self.sight(View.SHOW, interception=found)
            for rows, children in self._read(connection, _one(found, initiator), sight):
                yield from children.full(rows, characters)

    def sessions(self, wanted: Filter, *, with_texts: bool = True) -> Iterator[Session]:
        """The sessions of the matching interceptions, most recently used first.

        Without texts, none has a prompt.

        Raises:
            NoSuchPageError: there is no `after_session`.
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with self._connect() as connection:
            wanted = resolved(connection, wanted)
            sight = self.sight(View.LIST, **listed("sessions", wanted)) if with_texts else None
            try:
                yield from find_sessions(connection, wanted, sight)
            except NoSuchSessionError:
                message = f"There is no session {wanted.after_session!r} to page after."
                raise NoSuchPageError(message) from None

    def session_id(self, text: str, initiator: str | None = None) -> str | None:
        """The id of the session (of `initiator`'s) that has this id, or alone begins like this.

        Raises:
            AmbiguousIdError: several begin like this.
        """
        with self._connect() as connection:
            return find_session(connection, text, initiator)

    def count_sessions(self, wanted: Filter) -> int:
        """The number of sessions on all pages."""
        with self._connect() as connection:
            return count_sessions(connection, resolved(connection, wanted))

    def threads(
        self,
        session: Session,
        *,
        after_id: str | None = None,
        before_id: str | None = None,
        limit: int,
    ) -> list[str]:
        """The ids of a session's threads, in order.

        A page has the first ones after the thread of `after_id`, or the last ones before that of
        `before_id`: ids of interceptions.

        Raises:
            NoSuchPageError: that one isn't of this session.
            QueryFailedError: it took too long, or the database is unavailable.
        """
        cursor = after_id or before_id
        with self._connect() as connection:
            found = find_threads(
                connection, session, cursor, limit, backwards=before_id is not None
            )
        if found is None:
            raise NoSuchPageError(f"The session has no interception {cursor!r}.")
        return found

    def thread_costs(self, session: Session) -> dict[str, Cost]:
        """What each of a session's threads costs, by its id."""
        with self._connect() as connection:
            return sum_costs(connection, session)

    def usage_metadata(self, session: Session) -> dict[str, int]:
        """The sums of the numbers in the metadata of a session's token usages."""
        with self._connect() as connection:
            return sum_metadata(connection, session)

    def session(
        self,
        session_id: str,
        initiator: str | None = None,
        *,
        threads: Sequence[str] | None = None,
        after_id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[FullInterception]:
        """The interceptions that `session_ids` has found, which says more, and raises the same."""
        ids = self.session_ids(
            session_id, initiator, threads=threads, after_id=after_id, limit=limit
        )
        yield from self.each_of(session_id, ids)

    def session_ids(
        self,
        session_id: str,
        initiator: str | None = None,
        *,
        threads: Sequence[str] | None = None,
        after_id: str | None = None,
        limit: int | None = None,
    ) -> Sequence[str]:
        """The ids of a session's interceptions by thread, in order; threads by their start.

        Where callers happen to use the same session id, `initiator` (an id) tells them apart.
        `threads` are the only ones that are wanted. A page has at most `limit`, and the one after
        it follows on its last, `after_id`. Each page is found among all of the session's.

        Raises:
            NoSuchPageError: `after_id` isn't of this session.
            QueryFailedError: it took too long, or the database is unavailable.
        """
        rows = matching(*conditions(Filter(session=session_id, owner=initiator)))
        root = thread_of(rows.c)
        began = sa.func.min(rows.c.started_at).over(partition_by=root)
        own = (rows.c.started_at, rows.c.id)
        each = sa.select(began.label("began"), root.label("root"), *own).subquery().c
        order = (each.began, each.root, each.started_at, each.id)
        statement = sa.select(each.id).order_by(*order).limit(limit)
        if threads is not None:
            statement = statement.where(each.root.in_(threads))
        with self._connect() as connection:
            if after_id is not None:
                last = connection.execute(
                    sa.select(*order).where(each.id == row_id(after_id))
                ).one_or_none()
                if last is None:
                    raise NoSuchPageError(f"The session has no interception {after_id!r}.")
                position = (sa.literal(at, by.type) for at, by in zip(last, order, strict=True))
                statement = statement.where(sa.tuple_(*order) > sa.tuple_(*position))
            return connection.scalars(statement).all()

    def each_of(
        self, session_id: str, ids: Sequence[str], *, characters: int | None = None
    ) -> Iterator[FullInterception]:
        """The full interceptions with these ids, in this order; those that are gone are left out.

        They are of this session. Of each text there are so many characters at least, all by
        default.

        Raises:
            QueryFailedError: it took too long, or the database is unavailable.
        """
        sight = self.sight(View.SHOW, session=session_id)
        with self._connect() as connection:
            for start in range(0, len(ids), _FULL_AT_ONCE):
                few = ids[start : start + _FULL_AT_ONCE]
                statement = sa.select(interceptions).where(_I.id.in_(few))
                found = {row.id: row for row in connection.execute(statement)}
                rows = [found[id] for id in few if id in found]
                children = ChildRows(connection, [row.id for row in rows], sight)
                yield from children.full(rows, characters)

    def usage(self, by: Sequence[UsageBy], wanted: Filter) -> list[Usage]:
        """Totals of each combination of the dimensions, those with the most tokens first.

        Where the first one is a time, the newest are first. The model that is `wanted` is the one
        that used the tokens.
        """
        with self._connect() as connection:
            return find_usage(connection, by, wanted)[0]

    def usage_and_total(
        self, by: Sequence[UsageBy], wanted: Filter, sort: str | None = None
    ) -> tuple[list[Usage], Usage]:
        """The same, in the order of `sort`, and the total of all that matches, whatever the limit.

        `sort` is a dimension, or the name of a number of a `Usage`, which puts the greatest first.
        """
        with self._connect() as connection:
            return find_usage(connection, by, wanted, sort)

    def each_usage(self, by: Sequence[UsageBy], wanted: Filter) -> Iterator[Usage]:
        """All totals, whatever the limit, a few at a time in memory.

        Raises:
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with self._connect() as connection:
            yield from stream_usage(connection, by, wanted)

    def models(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The models in use, sorted."""
        return self._distinct(_I.model, wanted, initiator)

    def clients(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The clients in use, sorted."""
        return self._distinct(_I.client, wanted, initiator)

    def providers(self, wanted: Names, initiator: str | None = None) -> list[str]:
        """The names of the providers in use, sorted."""
        return self._distinct(_I.provider_name, wanted, initiator)

    def _distinct(
        self, column: sa.ColumnElement[str], wanted: Names, initiator: str | None
    ) -> list[str]:
        with self._connect() as connection:
            return find_names(connection, column, wanted, initiator)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A connection to read what other packages keep in the database; bound by the scope."""
        return self._connect()

    def _but(self, **changed: Any) -> "Query":
        kept = {"viewer": self._viewer, "time_limit": self._time_limit, "scope": self._scope}
        return Query(self._engine, self._clock, **{**kept, "price": self.price, **changed})

    def _connect(self) -> AbstractContextManager[sa.Connection]:
        scope = self._scope or CancelScope(self._clock, self._time_limit)
        return scope.connect(self._engine)

    def _read(
        self,
        connection: sa.Connection,
        statement: sa.Select[Any],
        sight: Sight,
        with_texts: bool = True,
    ) -> Iterator[tuple[Sequence[sa.Row[Any]], ChildRows]]:
        """The interceptions, a few at a time, with their child rows."""
        rows = connection.execute(statement).all()
        for start in range(0, len(rows), _AT_ONCE):
            few = rows[start : start + _AT_ONCE]
            ids = [row.id for row in few]
            yield few, ChildRows(connection, ids, sight, with_texts=with_texts)


def _one(id: str | None, initiator: str | None) -> sa.Select[Any]:
    statement = sa.select(interceptions).where(_I.id == id)
    return statement if initiator is None else statement.where(_I.initiator_id == initiator)


def _order(wanted: Filter, columns: Any) -> tuple[sa.ColumnElement[Any], ...]:
    order = (columns.started_at, columns.id)
    return order if wanted.oldest_first else tuple(column.desc() for column in order)


def _after(connection: sa.Connection, id: str, wanted: Filter) -> sa.ColumnElement[bool]:
    found = find_interception(connection, id, wanted.owner)
    row = connection.execute(_one(found, wanted.owner)).one_or_none()
    if row is None:
        raise NoSuchPageError(f"There is no interception {id!r} to page after.")
    beyond = operator.gt if wanted.oldest_first else operator.lt
    return sa.or_(
        beyond(_I.started_at, row.started_at),
        sa.and_(_I.started_at == row.started_at, beyond(_I.id, row.id)),
    )
