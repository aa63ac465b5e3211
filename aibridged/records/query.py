"""Queries of the record: interceptions, sessions, usage. Read-only, with a deadline.

Each query has a connection of its own, so it never waits for the writer's: in WAL mode SQLite's
readers see a snapshot and block nobody, and none of our connections makes checkpoints (see
`database`). Results are iterators that read a few rows at a time, to bound the memory; the
connection is open until the iterator is exhausted or closed. Everything here blocks and belongs
in a thread.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import sqlalchemy as sa

from aibridged.core.looks import View
from aibridged.records.cancel_scope import CancelScope, QueryTimeoutError
from aibridged.records.child_rows import ChildRows, FullInterception
from aibridged.records.cost_sums import Cost
from aibridged.records.counts import (
    COUNT_S,
    UNKNOWN,
    Counted,
    count_interceptions,
    count_sessions,
)
from aibridged.records.cursors import NoSuchPageError, behind, cursor, one, order
from aibridged.records.figures import Figures
from aibridged.records.filters import (
    conditions,
    page_of,
    parts_of,
    resolved,
    row_id,
)
from aibridged.records.id_prefixes import FoundId, find_any, find_interception, find_session
from aibridged.records.query_results import (
    Filter,
    Interception,
    Session,
)
from aibridged.records.recorded_usage import Price
from aibridged.records.schema import interceptions
from aibridged.records.search import (
    WORK_S,
    Search,
    is_search,
    plain,
    search_interceptions,
    search_sessions,
    subjects,
)
from aibridged.records.session_rows import read_sessions
from aibridged.records.sessions import NoSuchSessionError, find_sessions
from aibridged.records.threads import find_ids, find_threads, sum_costs, sum_metadata
from aibridged.records.viewer import Sight, Viewer, listed

MAX_LIMIT = 1000

_AT_ONCE = 20  # interceptions, with the beginnings of their child rows
_FULL_AT_ONCE = 100  # with the ids of those

_I = interceptions.c


class Query(Figures):
    """Queries of one database, as a viewer sees it.

    All may share one `scope`; else each has its own, of `time_limit` seconds.
    """

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

    def interceptions(
        self, wanted: Filter, *, with_texts: bool = True, search: Search | None = None
    ) -> Iterator[Interception]:
        """The newest first, at most `limit`, each with previews of its child rows.

        Pages by `after_id` neither repeat nor skip. `oldest_first` reverses the order. Without
        texts, only errors have any, and of the child rows there are the token usages alone.
        `search` is how long to search for what no index finds, and gets what came of it.

        Raises:
            NoSuchPageError: there is no `after_id`, or it isn't `owner`'s.
            LookNotNotedError: texts of others can't be shown.
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with self._connect() as connection:
            wanted = resolved(connection, wanted)
            last = cursor(connection, wanted)
            if is_search(wanted):
                sight = self.sight(View.SEARCH, **listed("interceptions", wanted))
                sight.look(subjects(connection, wanted, self._viewer))
                search = search or self.search()
                ids = search_interceptions(connection, wanted, self._viewer, last, search)
                found = sa.select(interceptions).where(_I.id.in_(ids))
                statement = found.order_by(*order(wanted, _I))
            else:
                after = () if last is None else (behind(last, wanted),)
                where, by = [*conditions(wanted), *after], partial(order, wanted)
                statement = page_of(
                    list(_I), where, by, wanted.limit, wanted.offset, parts_of(wanted)
                )
            sight = self.sight(View.LIST, **listed("interceptions", wanted))
            for rows, children in self._read(connection, statement, sight, with_texts):
                yield from children.previews(rows)

    def search(self, seconds: float = WORK_S) -> Search:
        """A search of so much work for a page."""
        return Search(self._clock, seconds)

    def count(self, wanted: Filter) -> Counted:
        """The number of interceptions on all pages, as far as that is soon counted."""
        return self._count(count_interceptions, wanted)

    def preview(self, id: str, wanted: Filter, *, with_texts: bool = True) -> Interception | None:
        """One interception as in a list of what is `wanted`; None where there is none."""
        sight = self.sight(View.LIST, **listed("interceptions", wanted))
        with self._connect() as connection:
            found = one(row_id(id), None)
            for rows, children in self._read(connection, found, sight, with_texts):
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
            for rows, children in self._read(connection, one(found, initiator), sight):
                yield from children.full(rows, characters)

    def sessions(
        self, wanted: Filter, *, with_texts: bool = True, search: Search | None = None
    ) -> Iterator[Session]:
        """The sessions of the matching interceptions, most recently used first.

        Without texts, none has a prompt. What has to be searched for (see `interceptions`) chooses
        sessions by one interception, and their totals are of all that match otherwise; their order
        is that of the newest one that was found, and `after_id` is where to go on.

        Raises:
            NoSuchPageError: there is no `after_session`.
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with self._connect() as connection:
            wanted = resolved(connection, wanted)
            sight = self.sight(View.LIST, **listed("sessions", wanted)) if with_texts else None
            if is_search(wanted):
                searched = self.sight(View.SEARCH, **listed("sessions", wanted))
                searched.look(subjects(connection, wanted, self._viewer))
                after = cursor(connection, wanted)
                search = search or self.search()
                keys = search_sessions(connection, wanted, self._viewer, after, search)
                yield from read_sessions(connection, keys, plain(wanted), sight)
                return
            try:
                yield from find_sessions(connection, wanted, sight)
            except NoSuchSessionError:
                message = f"There is no session {wanted.after_session!r} to page after."
                raise NoSuchPageError(message) from None

    def find(self, text: str, initiator: str | None = None) -> FoundId | None:
        """What an id is, or the only one (of `initiator`'s) that begins like this.

        Raises:
            AmbiguousIdError: several begin like this.
        """
        with self._connect() as connection:
            return find_any(connection, text, initiator)

    def session_id(self, text: str, initiator: str | None = None) -> str | None:
        """The id of the session (of `initiator`'s) that has this id, or alone begins like this.

        Raises:
            AmbiguousIdError: several begin like this.
        """
        with self._connect() as connection:
            return find_session(connection, text, initiator)

    def count_sessions(self, wanted: Filter) -> Counted:
        """The number of sessions on all pages, as far as that is soon counted."""
        return self._count(count_sessions, wanted)

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
        with self._connect() as connection:
            return find_ids(connection, session_id, initiator, threads, after_id, limit)

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

    def _but(self, **changed: Any) -> "Query":
        kept = {"viewer": self._viewer, "time_limit": self._time_limit, "scope": self._scope}
        return Query(self._engine, self._clock, **{**kept, "price": self.price, **changed})

    def _count(self, count: Callable[[sa.Connection, Filter], Counted], wanted: Filter) -> Counted:
        if is_search(wanted):
            return UNKNOWN
        try:
            with self._connect(COUNT_S) as connection:
                return count(connection, resolved(connection, wanted))
        except QueryTimeoutError:
            return UNKNOWN

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
