"""Removes deleted text from SQLite's files: from the write-ahead log, and from under the pages.

Deleted rows are overwritten with zeros (`secure_delete`), in the log at first. Until a checkpoint
has brought them into the database, the database still holds the text, and the log holds it until it
is emptied. While a daemon runs, only its writer may do that; it finds the request for it in its
state directory.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.config.private_file import make_private
from aibridged.records.database import DatabaseError
from aibridged.records.remote_journal import have_living
from aibridged.records.spool import SPOOL_FILE, Spool, SpoolError, SpoolInUseError

REQUEST = "-scrub"
"""What the request's name adds to the database's."""
LOOK_S = 2.0
"""How often a daemon looks for one."""
_LOOK_AGAIN_S = 0.2


def scrub(
    engine: sa.Engine,
    state_dir: Path,
    clock: Clock,
    patience: float,
    sleep: Callable[[float], object],
) -> bool:
    """Empty the log, or have the daemon do it within `patience` seconds; returns whether it is.

    A no-op for PostgreSQL.

    Raises:
        DatabaseError: the database or the state directory can't be written to.
    """
    if engine.dialect.name != "sqlite":
        return True
    database = Path(engine.url.database or "")
    request = Path(f"{database}{REQUEST}")
    deadline = clock.monotonic() + patience
    try:
        with suppress(FileExistsError):
            os.close(make_private(request))
        while True:
            if _scrub_alone(database, state_dir):
                request.unlink(missing_ok=True)
                return True
            if not request.exists():
                return True
            if clock.monotonic() >= deadline:
                return False
            sleep(_LOOK_AGAIN_S)
    except (OSError, SpoolError) as error:
        raise DatabaseError(f"The write-ahead log can't be emptied: {error}") from None


def _scrub_alone(database: Path, state_dir: Path) -> bool:
    """Empty the log if no daemon runs, as the holder of its lock."""
    spool = Spool(state_dir / SPOOL_FILE)
    try:
        spool.open()
    except SpoolInUseError:
        return False
    try:
        if have_living(state_dir):
            return False  # the process that writes for these workers is about to be started again
        with closing(sqlite3.connect(database)) as connection:
            return empty_log(connection)
    except sqlite3.Error as error:
        raise DatabaseError(f"The write-ahead log can't be emptied: {error}") from None
    finally:
        spool.close()


def empty_log(connection: sqlite3.Connection) -> bool:
    """Bring all of the log into the database, and empty it; false if a reader is in the way."""
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy
