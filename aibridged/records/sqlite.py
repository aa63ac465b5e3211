"""SQLite backend, over the bare driver: a start row costs less than an SQLAlchemy statement."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from types import NoneType
from typing import Any

import sqlalchemy as sa

from aibridged.observe.descriptors import is_shortage
from aibridged.observe.stamps import Stamps
from aibridged.records.scrubbing import REQUEST, empty_log
from aibridged.records.statements import ISO_DAY

# Takes the write lock at once, so that waiting for it happens here and not half-way.
_BEGIN = "BEGIN IMMEDIATE"

WAL_BYTES = 32 * 1024 * 1024
"""Once the WAL is longer, it is restarted, for which requests have to wait."""
_FRAME_BYTES = 4096 + 24
_UNKNOWN = -1  # no version of the data

CHECKPOINT_PATIENCE_MS = 10
"""Longer than a transaction of the token store takes, and short for a request that waits."""


_NOTHING: dict[None, None] = {}


class SqliteBackend:
    """The process's only connection that writes records.

    The holder of the spool's lock is the only living recorder of the state directory, but for those
    that `is_living` knows: it writes for them.
    """

    has_own_disk = True
    shares_ledger = False

    def __init__(
        self,
        engine: sa.Engine,
        recorder_id: int,
        is_living: Callable[[int], bool] = lambda recorder_id: False,
    ) -> None:
        self._is_living = is_living
        self._engine = engine
        self._path = engine.url.database or ""
        self._file: tuple[int, int] | None = None
        self._recorder_id = recorder_id
        self._connection: sqlite3.Connection
        self._run: Callable[..., sqlite3.Cursor]  # its cursor's: a new one costs as much as a BEGIN
        self._close: Callable[[], None] = lambda: None
        self._busy_timeout_ms = 0
        self._wal_restarts = True
        self._changes_before = 0
        self._data_version = _UNKNOWN
        # In the format of SQLAlchemy's DateTime. All times come from the clock, in UTC.
        self.time = Stamps().__call__
        self._aside: list[sqlite3.Connection] = []
        self._aside_is_stale = True
        self._aside_lock = threading.Lock()

    def connect(self) -> None:
        # Without these, the driver looks for one with every such value, and fails to find it.
        sqlite3.register_adapter(NoneType, _NOTHING.get)  # None, and no call of Python's
        sqlite3.register_adapter(bool, int)
        self._file = self._file_in_place()
        self._aside_is_stale = True
        self._data_version = _UNKNOWN
        connection = self._engine_connection()
        self._connection, self._close = connection, connection.close
        self._run = connection.cursor().execute
        (self._busy_timeout_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        self._restart_wal()

    def disconnect(self) -> None:
        self._close()

    def begin(self) -> None:
        # Writes to a deleted file vanish with the connection.
        if self._file_in_place() != self._file:
            raise sqlite3.OperationalError("the database file was replaced")
        with self._patience(self._busy_timeout_ms):
            self._connection.execute(_BEGIN)

    def plan_by_values(self) -> None:
        """Nothing to do."""

    def begin_at_once(self) -> bool:
        # The first commit after a checkpoint flushes the WAL's header to the disk.
        if self._wal_restarts or self._file_in_place() != self._file:
            return False
        self._run(_BEGIN)
        return True

    def commit(self) -> None:
        self._run("COMMIT")
        if self._wal_restarts:
            self._wal_restarts = self._connection.total_changes == self._changes_before

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if len(rows) == 1:
            self._run(sql, rows[0])
        else:
            self._connection.executemany(sql, rows)

    def changed(self, sql: str, parameters: Sequence[Any]) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def was_changed(self) -> bool:
        (version,) = self._run("PRAGMA data_version").fetchone()
        before, self._data_version = self._data_version, version
        return bool(version != before)

    def day(self, stored: str) -> date:
        return date.fromisoformat(stored[:ISO_DAY])

    def lock_ledger(self, subjects: Sequence[str], interceptions: Sequence[str]) -> None:
        """No-op: the transaction has the write lock."""

    def owner_is_dead(self, recorder_id: int) -> bool:
        return recorder_id != self._recorder_id and not self._is_living(recorder_id)

    def finish_by(self, seconds: float) -> None:
        """No-op: no wait for another process is long, and one for the disk can't be ended."""

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

    def checkpoint_aside(self) -> bool:
        """Copy the WAL into the database, flushed, while others commit.

        The WAL-reset bug needs a commit that restarts the WAL during a checkpoint. None can
        while a connection reads from the WAL, so one of two connections does, from before the
        checkpoint that the other one makes until the next. Only where all of the WAL is in the
        database already it wouldn't be the WAL that is read from; then there is nothing to do.
        """
        try:
            return self._checkpoint_aside()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return False  # the next one makes up for it
            raise

    def _checkpoint_aside(self) -> bool:
        with self._aside_lock:
            if self._wal_restarts:
                return False
            if self._aside_is_stale:
                self._drop_aside()
                self._aside = [self._engine_connection(), self._engine_connection()]
                self._aside_is_stale = False
            next_reader, reader = self._aside
            next_reader.execute("BEGIN")
            next_reader.execute("SELECT 1 FROM sqlite_schema").fetchone()
            if reader.in_transaction:
                reader.execute("ROLLBACK")
            self._aside.reverse()
            (_, frames, _) = reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(frames * _FRAME_BYTES > WAL_BYTES)

    def close_aside(self) -> None:
        with self._aside_lock:
            self._drop_aside()

    def is_scrub_requested(self) -> bool:
        return os.path.exists(self._path + REQUEST)

    def truncate_log(self) -> None:
        """Copy what is left of the WAL, so that the next commit restarts it.

        Holding the write lock (FULL), and not while there is another checkpoint: see above. It
        waits a moment for that lock, since SQLite goes on without it otherwise; hardly longer for
        readers, since requests wait, too. If a scrub is requested, the log is emptied, too.
        """
        if not self._aside_lock.acquire(blocking=False):
            return  # it is about to be called for again
        try:
            for each in self._aside:
                if each.in_transaction:
                    each.execute("ROLLBACK")
            self._restart_wal()
            with self._patience(CHECKPOINT_PATIENCE_MS):
                if not self.is_scrub_requested():
                    self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
                elif empty_log(self._connection):
                    os.unlink(self._path + REQUEST)
        finally:
            self._aside_lock.release()

    def is_refusal(self, error: Exception) -> bool:
        if isinstance(error, sqlite3.Error | OSError):
            return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
        return True

    def _engine_connection(self) -> sqlite3.Connection:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        assert isinstance(connection, sqlite3.Connection)
        return connection

    def _drop_aside(self) -> None:
        while self._aside:
            self._aside.pop().close()

    @contextmanager
    def _patience(self, milliseconds: int) -> Iterator[None]:
        """Set how long to wait for others' locks."""
        self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def _restart_wal(self) -> None:
        self._wal_restarts = True
        self._changes_before = self._connection.total_changes

    def _file_in_place(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise sqlite3.OperationalError(f"{self._path}: {error.strerror}") from None
        return found.st_dev, found.st_ino

    def reason(self, error: Exception) -> str:
        return str(error) if isinstance(error, sqlite3.OperationalError) else type(error).__name__
