"""Writes batches of records, each in one transaction.

Every row has an id of its own and is inserted only if it isn't there, and an end may be written
again: so a batch whose commit was not confirmed can be written once more.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from aibridged.clock import Clock, SystemClock
from aibridged.records.backend import Backend
from aibridged.records.facts import (
    BackgroundRecord,
    Fact,
    InterceptionEnd,
    InterceptionStart,
    UserPromptRecord,
)
from aibridged.records.jobs import Admission, without_refused
from aibridged.records.ledger import Ledger
from aibridged.records.rows import (
    ROWS,
    Parent,
    answered_row,
    background_values,
    end_row,
    noted_row,
    prompt_row,
    start_row,
)
from aibridged.records.schema import MAX_NAME
from aibridged.records.sqlite import SqliteBackend
from aibridged.records.statements import statements_for
from aibridged.records.storable import storable
from aibridged.records.summarised_hours import HourMarks

_T = TypeVar("_T")

_Row = Sequence[Any]

_NO_PARENT = Parent()
_PERIOD = timedelta(days=31)
_STORED_EACH = 8  # stored objects that an interception makes at most, as a rule


class DatabaseAwayError(Exception):
    """The database can't be written to now; the batch isn't written, or isn't known to be."""


class RowRefusedError(Exception):
    """The database refuses the values of a row; nothing of its batch is written."""


class Store:
    """Writes to one database over one connection. Not thread-safe; all of it blocks.

    Everything but `close` and `write_at_once` may raise DatabaseAwayError, after which `connect`
    must be called again. `is_living` tells of recorders in other processes, which one on SQLite
    may write for.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock | None = None,
        *,
        is_living: Callable[[int], bool] = lambda recorder_id: False,
    ) -> None:
        self.recorder_id = new_recorder_id()
        self._backend = _make_backend(engine, self.recorder_id, is_living)
        self.has_own_disk = self._backend.has_own_disk
        self._sql = statements_for(engine)
        self._ledger = Ledger(self._backend, self._sql)
        self._hours = HourMarks(engine, clock or SystemClock())

    def connect(self) -> None:
        """Open or reopen the connection."""
        self._backend.disconnect()
        self._ledger.forget()
        try:
            self._backend.connect()
        except Exception as error:  # noqa: BLE001 - a driver's, the system's or SQLAlchemy's
            raise self._away(error) from None

    def finish_by(self, seconds: float) -> None:
        """Take the database to be away if it hasn't answered by then. From any thread."""
        self._backend.finish_by(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._backend.disconnect()

    def write(
        self, starts: Sequence[InterceptionStart], facts: Sequence[Fact]
    ) -> Mapping[str, Admission]:
        """Write everything in one transaction, but for starts that spend limits don't allow for.

        Returns what became of the starts with a reservation, by id.

        Raises:
            RowRefusedError: nothing was written, because of one row.
        """
        admissions = self._transaction(lambda: self._write(starts, facts), of_rows=True)
        self._ledger.keep()
        return admissions

    def write_at_once(
        self,
        starts: Sequence[InterceptionStart],
        facts: Sequence[Fact],
        *,
        may_refuse: bool = True,
    ) -> Mapping[str, Admission] | None:
        """`write`, if that can't block, nor refuses a start where it mayn't.

        It is called with a start once at most, before `write` is. None: nothing is known to be
        written; `write` will tell why.
        """
        try:
            if not self._backend.begin_at_once():
                return None
            admissions = self._write(starts, facts, is_first=True)
            if (
                admissions
                and not may_refuse
                and len(without_refused(starts, admissions)) < len(starts)
            ):
                self._roll_back()
                return None
            self._backend.commit()
        except Exception:  # noqa: BLE001 - `write` will meet it, too
            with suppress(Exception):
                self._roll_back()
            return None
        self._ledger.keep()
        return admissions

    def close_left_open(self, now: datetime) -> int:
        """End as interrupted what dead recorders left open; returns how many there were.

        They end `now`, for want of a better time, but not before they started.
        """
        return self._transaction(lambda: self._close_left_open(now))

    def prune(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` interceptions that started before then and have ended.

        Their child rows are deleted with them, who made what the provider has stored since before
        then, and the refusals of the days before; what was spent is known for longer, since the
        spend limits of a month need it. Returns the number of interceptions deleted.
        """
        at, day = self._backend.time(before), before.date().isoformat()
        counted_since = (before - _PERIOD).date().isoformat()

        def delete() -> int:
            # Of a limit that isn't known, the planner expects a tenth of all rows.
            self._backend.plan_by_values()
            sql, most = self._sql, limit * _STORED_EACH
            for each, row in (
                (sql.prune_stored, sql.prune_stored.row(before=at, most=most)),
                (sql.prune_refusals, sql.prune_refusals.row(before=day, most=most)),
                (sql.prune_spend, sql.prune_spend.row(before=counted_since)),
            ):
                self._backend.changed(each.sql, row)
            deleted = self._backend.execute(sql.prune.sql, sql.prune.row(before=at, most=limit))
            self._hours.changed(self._backend, deleted)
            return len(deleted)

        return self._transaction(delete)

    def is_gone(self, fact: Fact) -> bool:
        """Whether the fact is of an interception that is no longer in the database."""
        sql = self._sql.find
        row = sql.row(interception=fact.interception_id)
        return not self._transaction(lambda: self._backend.execute(sql.sql, row))

    def flush(self) -> None:
        """Flush commits to disk. Another thread may commit meanwhile."""
        try:
            self._backend.flush()
        except OSError as error:
            raise DatabaseAwayError(f"it can't be flushed: {error.strerror}") from None

    def checkpoint_aside(self) -> bool:
        """Bring commits into the database's own file, flushed, while another thread commits.

        Returns whether the write-ahead log has become so long that it should be truncated.
        """
        try:
            return self._backend.checkpoint_aside()
        except Exception as error:  # noqa: BLE001 - a driver's, or the system's
            raise DatabaseAwayError(self._backend.reason(error)) from None

    def close_aside(self) -> None:
        """Close what `checkpoint_aside` has opened; from the same thread."""
        self._backend.close_aside()

    def is_scrub_requested(self) -> bool:
        """Whether a command wants no deleted text to be left: `truncate_log`. From any thread."""
        return self._backend.is_scrub_requested()

    def truncate_log(self) -> None:
        """Restart the write-ahead log at the next commit, if no reader is in the way."""
        self._guarded(self._backend.truncate_log)

    def _write(
        self,
        starts: Sequence[InterceptionStart],
        facts: Sequence[Fact],
        *,
        is_first: bool = False,
    ) -> Mapping[str, Admission]:
        """Write tool calls before the starts that continue them, and ends after their starts."""
        backend, ledger = self._backend, self._ledger
        if not facts:
            reserves = any(start.reservation is not None for start in starts)
            if reserves:
                ledger.begin(starts, (), ())
            admissions, recorded = self._insert_starts(starts, is_first=is_first)
            self._hours.changed_late(backend, recorded)
            if reserves:
                ledger.write()
            return admissions
        time, rows = backend.time, defaultdict[type, list[Sequence[Any]]](list)
        ends = [fact for fact in facts if isinstance(fact, InterceptionEnd)]
        rows_of_ends, answered, noted = [], [], []
        background: list[BackgroundRecord] = []
        answers = {
            end.interception_id: end.prompt_response_id
            for end in ends
            if end.prompt_response_id is not None
        }
        for fact in facts:
            if isinstance(fact, InterceptionEnd):
                rows_of_ends.append(end_row(fact, time))
                if fact.interception_id in answers and (row := answered_row(fact)) is not None:
                    answered.append(row)
                if fact.metadata:
                    noted.append(noted_row(fact))
            elif isinstance(fact, UserPromptRecord):
                # One statement less than to insert it now and update it later.
                answer = answers.pop(fact.interception_id, None)
                rows[UserPromptRecord].append(prompt_row(fact, time, answer))
            elif isinstance(fact, BackgroundRecord):
                background.append(fact)
            else:
                kind = type(fact)
                rows[kind].append(ROWS[kind][1](fact, time))
        ledger.begin(starts, ends, background)
        for kind, values in rows.items():
            backend.execute_many(self._sql.inserts[kind].sql, values)
        begun = {start.id for start in starts} if ends else ()
        ended = {end.interception_id for end in ends} if begun else ()
        # An end leaves room for the starts, unless it is of one of them.
        others = [end for end in ends if end.interception_id not in begun] if begun else ends
        ledger.settle(others, background)
        admissions, recorded = self._insert_starts(starts, ended, is_first=is_first)
        if begun:
            ledger.settle([end for end in ends if end.interception_id in begun])
        if ends:
            backend.execute_many(self._sql.end.sql, rows_of_ends)
        if answered:
            backend.execute_many(self._sql.answer_prompt.sql, answered)
        if noted:
            backend.execute_many(self._sql.note.sql, noted)
        if background:
            told = [self._sql.background.row(**background_values(each)) for each in background]
            backend.execute_many(self._sql.background.sql, told)
        self._hours.changed_late(backend, recorded, facts)
        ledger.write()
        return admissions

    def _insert_starts(
        self,
        starts: Sequence[InterceptionStart],
        ended: Container[str] = (),
        *,
        is_first: bool,
    ) -> tuple[Mapping[str, Admission], Sequence[InterceptionStart]]:
        """Insert those that are allowed, which are returned; some have `ended` already."""
        admissions = self._ledger.admit(starts, is_first=is_first)
        if recorded := without_refused(starts, admissions):
            self._insert(recorded)
            self._ledger.started(
                [one for one in recorded if one.id not in ended] if ended else recorded
            )
        return admissions, recorded

    def _insert(self, starts: Sequence[InterceptionStart]) -> None:
        time, owner = self._backend.time, self.recorder_id
        rows = [
            start_row(
                one,
                self._parent(one) if one.tool_result_ids else _NO_PARENT,
                one.recorder_id or owner,
                time,
            )
            for one in starts
        ]
        self._backend.execute_many(self._sql.insert_start.sql, rows)

    def _parent(self, start: InterceptionStart) -> Parent:
        sql, call, initiator = self._sql.parent, start.tool_result_ids[-1], start.initiator_id
        if not call:
            return _NO_PARENT
        for id, root_id in self._backend.execute(
            sql.sql, sql.row(call=storable(call[:MAX_NAME]), initiator=initiator)
        ):
            return Parent(id, root_id or id)
        return _NO_PARENT

    def _close_left_open(self, now: datetime) -> int:
        sql, closed = self._sql, 0
        at = self._backend.time(now)
        for (owner,) in self._backend.execute(sql.owners_of_open.sql, sql.owners_of_open.row()):
            if self._backend.owner_is_dead(owner):
                self._release(owner)
                row = sql.interrupt.row(now=at, recorder=owner)
                closed += self._backend.changed(sql.interrupt.sql, row)
        return closed

    def _release(self, owner: int) -> None:
        """Release what is reserved for the interceptions that this recorder has left open."""
        sql = self._sql.reserved_of
        if found := self._backend.execute(sql.sql, sql.row(recorder=owner)):
            self._ledger.release([str(id) for (id,) in found])

    def _transaction(self, work: Callable[[], _T], *, of_rows: bool = False) -> _T:
        def whole() -> _T:
            self._backend.begin()
            result = work()
            self._backend.commit()
            return result

        return self._guarded(whole, of_rows=of_rows)

    def _guarded(self, work: Callable[[], _T], *, of_rows: bool = False) -> _T:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - what isn't the driver's is of a row's values
            refused = of_rows and self._backend.is_refusal(error)
            try:
                self._roll_back()
            except Exception:  # noqa: BLE001 - the connection is dead: so is its transaction
                refused = False
            # Without the driver's error, which quotes the row's values.
            if refused:
                raise RowRefusedError(type(error).__name__) from None
            raise self._away(error) from None

    def _roll_back(self) -> None:
        self._ledger.roll_back()
        self._backend.rollback()

    def _away(self, error: Exception) -> DatabaseAwayError:
        self._backend.disconnect()
        return DatabaseAwayError(self._backend.reason(error))


def new_recorder_id() -> int:
    """An id of which no other recorder has ever had."""
    return secrets.randbits(63)


def _make_backend(engine: sa.Engine, recorder_id: int, is_living: Callable[[int], bool]) -> Backend:
    if engine.dialect.name == "sqlite":
        return SqliteBackend(engine, recorder_id, is_living)
    # Imported here because the driver is an extra.
    from aibridged.records.postgres import PostgresBackend

    return PostgresBackend(engine, recorder_id)
