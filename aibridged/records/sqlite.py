"""SQLite backend, over the bare driver: a start row costs less than an SQLAlchemy statement."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aibridged.observe.descriptors import is_shortage

# Takes the write lock at once, so that waiting for it happens here and not half-way.
_BEGIN = "BEGIN IMMEDIATE"

CHECKPOINT_PATIENCE_MS = 10
"""Longer than a transaction of the token store takes, and short for a request that waits."""


class SqliteBackend:
    """The process's only connection that writes records.

    Only this recorder owns rows in its file: the holder of the spool's lock is the only living
    recorder of the state directory.
    """

    def __init__(self, engine: sa.Engine, recorder_id: int) -> None:
        self._engine = engine
        self._path = engine.url.database or ""
        self._file: tuple[int, int] | None = None
        self._recorder_id = recorder_id
        self._connection: sqlite3.Connection
        self._close: Callable[[], None] = lambda: None
        self._busy_timeout_ms = 0
        self._wal_begins_anew = True
        self._changes_before = 0

    def connect(self) -> None:
        self._file = self._file_in_place()
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        assert isinstance(connection, sqlite3.Connection)
        self._connection, self._close = connection, connection.close
        (self._busy_timeout_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        self._begin_wal_anew()

    def disconnect(self) -> None:
        self._close()

    def begin(self) -> None:
        # Writes to a deleted file vanish with the connection.
        if self._file_in_place() != self._file:
            raise sqlite3.OperationalError("the database file was replaced")
        with self._patience(self._busy_timeout_ms):
            self._connection.execute(_BEGIN)

    def begin_at_once(self) -> bool:
        # The first commit after a checkpoint flushes the WAL's header to the disk.
        if self._wal_begins_anew or self._file_in_place() != self._file:
            return False
        self._connection.execute(_BEGIN)
        return True

    def commit(self) -> None:
        self._connection.execute("COMMIT")
        if self._wal_begins_anew:
            self._wal_begins_anew = self._connection.total_changes == self._changes_before

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if len(rows) == 1:
            self._connection.execute(sql, rows[0])
        else:
            self._connection.executemany(sql, rows)

    def changed(self, sql: str, parameters: Sequence[Any]) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def time(self, at: datetime) -> str:
        # In the format of SQLAlchemy's DateTime. All times come from the clock, in UTC.
        return at.isoformat(" ", "microseconds")[:26]

    def owner_is_dead(self, recorder_id: int) -> bool:
        return recorder_id != self._recorder_id

    def finish_by(self, seconds: float) -> None:
        """Nothing to do: nothing waits for another process for long, and for the disk for ever."""

    def flush(self) -> None:
        """Flush the WAL. Not through SQLite, which would block commits until the disk is done."""
        try:
            wal = os.open(f"{self._path}-wal", os.O_RDONLY)
        except OSError as error:
            if is_shortage(error):
                return  # the database is unchanged, and the next flush makes up for it
            raise
        try:
            os.fsync(wal)
        finally:
            os.close(wal)

    def checkpoint(self) -> None:
        """Copy the WAL into the database, flushed, as far as no reader is in the way.

        Only here, and in FULL mode, which holds the write lock: the WAL-reset bug needs a commit
        by one connection during a checkpoint by another. It waits a moment for that lock, since
        SQLite goes on without it otherwise; hardly longer for readers, since requests wait, too.
        """
        self._begin_wal_anew()
        with self._patience(CHECKPOINT_PATIENCE_MS):
            self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()

    def is_refusal(self, error: Exception) -> bool:
        if isinstance(error, sqlite3.Error | OSError):
            return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
        return True

    @contextmanager
    def _patience(self, milliseconds: int) -> Iterator[None]:
        """Set how long to wait for others' locks."""
        self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def _begin_wal_anew(self) -> None:
        self._wal_begins_anew = True
        self._changes_before = self._connection.total_changes

    def _file_in_place(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise sqlite3.OperationalError(f"{self._path}: {error.strerror}") from None
        return found.st_dev, found.st_ino

    def reason(self, error: Exception) -> str:
        return str(error) if isinstance(error, sqlite3.OperationalError) else type(error).__name__
