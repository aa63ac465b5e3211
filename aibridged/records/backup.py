"""Online backup of the SQLite database, and its checks.

The copy is made by SQLite's backup API under one read transaction: it is of one moment, however
long it takes, and writers go on. (Without that transaction every commit of the daemon would begin
the copy again.) The write-ahead log can't be restarted meanwhile, so it grows with what is written.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from aibridged.clock import Clock
from aibridged.config.private_file import flush
from aibridged.records.database import BUSY_TIMEOUT_S, DatabaseError
from aibridged.records.migrations import VERSION_TABLE, is_known, newest
from aibridged.records.whole_file import check_target, part_beside, put

PAGES_AT_ONCE = 256
SHARE = 0.5
"""Of all time, what the copy takes at most: the disk and the processor are the daemon's, too."""
FLUSH_BYTES = 32 * 1024 * 1024
"""How much of the copy the system may keep in memory: one flush of all would stall the daemon's."""

_DUMP_OF_POSTGRES = b"PGDMP"


class Copy(NamedTuple):
    """A database file that was checked: its size in bytes, schema revision, and rows."""

    size: int
    revision: str
    users: int
    tokens: int
    interceptions: int

    @property
    def is_current(self) -> bool:
        """Whether it has the schema of this release."""
        return self.revision == newest()


def back_up(
    database: Path,
    target: Path,
    clock: Clock,
    *,
    force: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Copy:
    """Copy the database to `target`, whole or not at all, while a daemon may be writing to it.

    The copy is readable by its owner only, checked, and flushed to the disk. It blocks.

    Raises:
        DatabaseError: there is no database, `target` exists and it isn't to be replaced (`force`),
            it can't be written, or the copy isn't sound.
    """
    if not database.is_file():
        raise DatabaseError(
            f"There is no database at {database}: nothing to back up. Choose the daemon's"
            " --state-dir."
        )
    _check_target(database, target, force=force)
    with part_beside(target) as part:
        copy_of(database, part, clock, sleep=sleep)
        copy = checked(part)
        put(part, target, force=force)
    return copy


def copy_of(
    source: Path,
    part: Path,
    clock: Clock,
    *,
    is_at_rest: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Copy a database to a file that is there and empty, as one file without a log beside it.

    `is_at_rest` says that no process can be writing to it.

    Raises:
        DatabaseError: one can't be read or the other not be written.
    """
    try:
        with _reading(source, is_at_rest=is_at_rest) as database, closing(_opened(part)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            copy.execute("PRAGMA journal_mode = OFF")
            with open(part, "rb") as file:
                pauses = _Pauses(clock, sleep, file.fileno())
                database.backup(copy, pages=PAGES_AT_ONCE, progress=pauses.take)
            # The database's own mode came along: with it, the copy would need files beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
        flush(part)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(
            f"{source} can't be copied to {part.parent}: {_reason(error)}."
        ) from None


def checked(file: Path) -> Copy:
    """Check a database file as a whole, which reads all of it.

    Raises:
        DatabaseError: it is damaged, no database of aibridged, or a later release's.
    """
    try:
        with closing(_opened(file)) as connection:
            [(verdict,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            if verdict != "ok" or broken:
                verdict = verdict if verdict != "ok" else f"a row of {broken[0]} refers to none"
                raise DatabaseError(f"{file} is damaged: {verdict.strip()}.")
            return Copy(
                file.stat().st_size,
                _revision(connection, file),
                *(
                    _count(connection, table)
                    for table in ("aibridged_users", "aibridged_tokens", "aibridge_interceptions")
                ),
            )
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"{file} can't be read: {_reason(error)}.") from None


def check_is_sqlite(file: Path) -> None:
    """Check what a file is by its first bytes, so that the error says what is wrong with it.

    Raises:
        DatabaseError: it is missing, or no SQLite database.
    """
    try:
        with open(file, "rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise DatabaseError(
            f"{file} can't be read: {error.strerror}.", "Choose a file of `aibridged db backup`."
        ) from None
    if head.startswith(_DUMP_OF_POSTGRES):
        raise DatabaseError(
            f"{file} is a dump of a PostgreSQL database: restore it with pg_restore, and set"
            " --postgres-url."
        )
    if head != b"SQLite format 3\0":
        raise DatabaseError(
            f"{file} is no SQLite database: choose a file of `aibridged db backup`."
        )


class _Pauses:
    """Pauses after each step of a copy, and flushes of what it has written."""

    def __init__(self, clock: Clock, sleep: Callable[[float], object], file: int) -> None:
        self._clock = clock
        self._sleep = sleep
        self._file = file
        self._began = clock.monotonic()
        self._steps = 0

    def take(self, _status: int, left: int, _total: int) -> None:
        """Called after a step."""
        self._steps += 1
        if self._steps % (FLUSH_BYTES // 4096 // PAGES_AT_ONCE) == 0:
            os.fdatasync(self._file)
        took = self._clock.monotonic() - self._began
        if left:
            self._sleep(took * (1 / SHARE - 1))
        self._began = self._clock.monotonic()


@contextmanager
def _reading(source: Path, *, is_at_rest: bool) -> Iterator[sqlite3.Connection]:
    """A connection within one read transaction.

    A file at rest without a log beside it is taken as it is: nothing is written in its directory.
    """
    as_it_is = is_at_rest and not Path(f"{source}-wal").exists()
    mode = "mode=ro&immutable=1" if as_it_is else "mode=rw"
    with closing(_opened(source, mode)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection


def _opened(file: Path, mode: str = "mode=rw") -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(file.absolute()))}?{mode}", uri=True, timeout=BUSY_TIMEOUT_S
    )
    connection.isolation_level = None
    return connection


def _check_target(database: Path, target: Path, *, force: bool) -> None:
    check_target(target, force=True)
    if target.exists() and target.samefile(database):
        raise DatabaseError(f"{target} is the database itself: choose another file.")
    check_target(target, force=force)


def _revision(connection: sqlite3.Connection, file: Path) -> str:
    try:
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    except sqlite3.OperationalError:
        row = None
    if row is None:
        raise DatabaseError(f"{file} is no database of aibridged: it has no schema version.")
    revision = str(row[0])
    if not is_known(revision):
        raise DatabaseError(
            f"{file} was made by a later release of aibridged: its schema is {revision}, and this"
            f" release knows those up to {newest()}. Install the release that made it, or a newer"
            " one."
        )
    return revision


def _count(connection: sqlite3.Connection, table: str) -> int:
    try:
        [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    except sqlite3.OperationalError:
        return 0  # its schema is older than the table
    return int(count)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
