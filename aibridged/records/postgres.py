"""PostgreSQL backend, over psycopg."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from math import inf
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import errors

from aibridged.clock import SystemClock
from aibridged.records.bounded_connection import BoundedConnection
from aibridged.records.database import UNREACHABLE_S
from aibridged.records.ledger import LOCK_LEDGER, LOCK_SUBJECTS

COMMIT_S = UNREACHABLE_S + 0.3
"""How long a transaction may take: the server's own timeout, which says why, comes before it."""
SILENT_S = 5.0
"""After how long the server undoes a transaction whose daemon is frozen or cut off: others wait for
its locks."""
_LEAST_S = 1.0  # for a transaction that begins when the time of `finish_by` is up

_monotonic = SystemClock.monotonic


class PostgresBackend:
    """The process's only connection that writes records.

    It holds an advisory lock on its recorder's id: the server releases it when the connection ends,
    however the daemon died. So another daemon that gets the lock knows that its owner is dead,
    without synchronized clocks. After a lost connection the lock is taken again; rows that another
    daemon closed meanwhile are corrected when they really end. (A pooler that shares connections
    between transactions would break this: bypass it.)
    """

    has_own_disk = False
    shares_ledger = True

    def __init__(self, engine: sa.Engine, recorder_id: int) -> None:
        self._engine = engine
        self._recorder_id = recorder_id
        self._close: Callable[[], None] = lambda: None
        self._connection: BoundedConnection
        self._finish_by = inf
        self._cursor: psycopg.Cursor[Any]

    def connect(self) -> None:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        # The pool would use a connection that is lost, and log an error.
        pooled.detach()
        assert isinstance(connection, BoundedConnection)
        self._connection, self._close = connection, connection.close
        self._limit()
        self._cursor = connection.cursor()
        # What another daemon has reserved counts from the moment that its locks are released.
        self._cursor.execute(
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
        )
        self._cursor.execute(f"SET statement_timeout = '{UNREACHABLE_S}s'")
        self._cursor.execute(f"SET idle_in_transaction_session_timeout = '{SILENT_S}s'")
        # To plan a statement for the partition of one id takes three times as long as to run it.
        self._cursor.execute("SET plan_cache_mode = force_generic_plan")
        # A shared lock, since the server may not know yet that the connection before is lost.
        self._cursor.execute("SELECT pg_advisory_lock_shared(%s)", (self._recorder_id,))
        connection.commit()
        self._prove_that_it_commits()

    def disconnect(self) -> None:
        self._close()

    def begin(self) -> None:
        # The driver begins before the first statement.
        self._limit()

    def plan_by_values(self) -> None:
        self._cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")

    def begin_at_once(self) -> bool:
        return False  # the server always takes a round trip

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._cursor.execute(sql, parameters).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._cursor.executemany(sql, rows)

    def changed(self, sql: str, parameters: Sequence[Any]) -> int:
        return self._cursor.execute(sql, parameters).rowcount

    def time(self, at: datetime) -> datetime:
        return at

    def was_changed(self) -> bool:
        return True

    def day(self, stored: datetime) -> date:
        return stored.astimezone(UTC).date()

    def lock_ledger(self, subjects: Sequence[str], interceptions: Sequence[str]) -> None:
        if interceptions:
            self._cursor.execute(LOCK_LEDGER, ([*subjects], [*interceptions], [*interceptions]))
        else:
            self._cursor.execute(LOCK_SUBJECTS, ([*subjects],))

    def owner_is_dead(self, recorder_id: int) -> bool:
        if recorder_id == self._recorder_id:
            return False
        [(locked,)] = self.execute("SELECT pg_try_advisory_xact_lock(%s)", (recorder_id,))
        return bool(locked)

    def finish_by(self, seconds: float) -> None:
        self._finish_by = at = _monotonic() + seconds
        with suppress(AttributeError):  # there was none yet
            self._connection.ends = min(self._connection.ends, at)

    def flush(self) -> None:
        """No-op: a commit is flushed by the server."""

    def checkpoint_aside(self) -> bool:
        """Nothing to do: the server has its own."""
        return False

    def close_aside(self) -> None:
        """Nothing to do."""

    def is_scrub_requested(self) -> bool:
        return False

    def truncate_log(self) -> None:
        """Nothing to do."""

    def _limit(self) -> None:
        now = _monotonic()
        ends = max(min(now + COMMIT_S, self._finish_by), now + _LEAST_S)
        self._connection.ends = ends

    def _prove_that_it_commits(self) -> None:
        """Commit something that the server has to write: one that can't write may still read."""
        try:
            self._cursor.execute("SELECT pg_logical_emit_message(true, 'aibridged', '')")
        except (errors.InsufficientPrivilege, errors.UndefinedFunction):
            self._connection.rollback()
        self._connection.commit()

    def is_refusal(self, error: Exception) -> bool:
        if isinstance(error, psycopg.Error | OSError):
            # Of a partition that was made at that moment: the row has a place in it now.
            is_in_time = not isinstance(error, errors.CheckViolation)
            return is_in_time and isinstance(error, psycopg.IntegrityError | psycopg.DataError)
        return True

    def reason(self, error: Exception) -> str:
        if isinstance(error, psycopg.OperationalError):
            return str(error).partition("\n")[0]
        return type(error).__name__
