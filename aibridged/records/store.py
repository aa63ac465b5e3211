"""Writes records: whole batches, each in one transaction.

Every row has an id of its own and is inserted only if it isn't there, and an end may be written
again: so a batch that was written, but whose writer didn't hear of it, can be written once more.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from aibridged.records.backend import Backend
from aibridged.records.facts import Fact, InterceptionEnd, InterceptionStart
from aibridged.records.rows import ROWS, Parent, end_row, start_row, storable
from aibridged.records.schema import MAX_NAME
from aibridged.records.sqlite import SqliteBackend
from aibridged.records.statements import Statements

_T = TypeVar("_T")

_NO_PARENT = Parent()


class DatabaseAwayError(Exception):
    """The database can't be written to now; what was to be written isn't, or isn't surely."""


class RowRefusedError(Exception):
    """The database refuses the values of a row; nothing of its batch is written."""


class Store:
    """Writes to one database over one connection. For one thread; all of it blocks.

    Everything but `close` raises DatabaseAwayError; `connect` is then to be called again.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.recorder_id = secrets.randbits(63)
        self._backend = _make_backend(engine, self.recorder_id)
        self._sql = Statements(engine)

    def connect(self) -> None:
        """Open the connection, or open it anew."""
        self._backend.disconnect()
        self._guarded(self._backend.connect)

    def close(self) -> None:
        """Close the connection."""
        self._backend.disconnect()

    def write(self, starts: Sequence[InterceptionStart], facts: Sequence[Fact]) -> None:
        """Write all of it in one transaction.

        Raises:
            RowRefusedError: nothing is written, since one row can't be.
        """
        self._transaction(lambda: self._write(starts, facts))

    def close_left_open(self, now: datetime) -> int:
        """End as interrupted what dead recorders left open; returns how many there were.

        They end `now`, since nobody knows it better, but not before they started.
        """
        return self._transaction(lambda: self._close_left_open(now))

    def prune(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` interceptions that started before then and have ended.

        What belongs to them goes with them. Returns how many interceptions went.
        """
        sql = self._sql.prune
        row = sql.row(before=self._backend.time(before), most=limit)
        return self._transaction(lambda: self._backend.changed(sql.sql, row))

    def checkpoint(self) -> None:
        """Bring what is committed where a power cut can't take it."""
        self._guarded(self._backend.checkpoint)

    def _write(self, starts: Sequence[InterceptionStart], facts: Sequence[Fact]) -> None:
        """Tool calls come before the starts that continue them; ends after the starts they end."""
        backend = self._backend
        rows: dict[type, list[Sequence[Any]]] = {}
        for fact in facts:
            if isinstance(fact, InterceptionEnd):
                continue
            kind = type(fact)
            make = ROWS[kind][1]
            rows.setdefault(kind, []).append(make(fact, backend.time))
        ends = [end_row(fact, backend.time) for fact in facts if isinstance(fact, InterceptionEnd)]
        for kind, values in rows.items():
            backend.execute_many(self._sql.inserts[kind], values)
        if starts:
            backend.execute_many(self._sql.insert_start, [self._start_row(one) for one in starts])
        if ends:
            backend.execute_many(self._sql.end.sql, ends)

    def _start_row(self, start: InterceptionStart) -> Sequence[Any]:
        call = start.correlating_tool_call_id
        parent = self._parent(call, start.initiator_id) if call else _NO_PARENT
        return start_row(start, parent, self.recorder_id, self._backend.time)

    def _parent(self, call: str, initiator: str) -> Parent:
        sql = self._sql.parent
        for id, root_id in self._backend.execute(
            sql.sql, sql.row(call=storable(call)[:MAX_NAME], initiator=initiator)
        ):
            return Parent(id, root_id or id)
        return _NO_PARENT

    def _close_left_open(self, now: datetime) -> int:
        sql, closed = self._sql, 0
        at = self._backend.time(now)
        for (owner,) in self._backend.execute(sql.owners_of_open.sql, sql.owners_of_open.row()):
            if self._backend.owner_is_dead(owner):
                row = sql.interrupt.row(now=at, recorder=owner)
                closed += self._backend.changed(sql.interrupt.sql, row)
        return closed

    def _transaction(self, work: Callable[[], _T]) -> _T:
        def whole() -> _T:
            self._backend.begin()
            result = work()
            self._backend.commit()
            return result

        return self._guarded(whole)

    def _guarded(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a driver's, the system's or SQLAlchemy's
            refused = self._backend.is_refusal(error)
            try:
                self._backend.rollback()
            except Exception:  # noqa: BLE001 - the connection is dead: so is its transaction
                refused = False
            # Without the driver's error, which quotes the row's values.
            if refused:
                raise RowRefusedError(type(error).__name__) from None
            self._backend.disconnect()
            raise DatabaseAwayError(self._backend.reason(error)) from None


def _make_backend(engine: sa.Engine, recorder_id: int) -> Backend:
    if engine.dialect.name == "sqlite":
        return SqliteBackend(engine, recorder_id)
    # Only here, because the driver is an extra.
    from aibridged.records.postgres import PostgresBackend

    return PostgresBackend(engine, recorder_id)
