"""Restoring the SQLite database from a backup, while no daemon runs."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aibridged.clock import Clock
from aibridged.config.private_file import flush, make_private
from aibridged.records.backup import (
    Copy,
    check_is_sqlite,
    checked,
    copy_of,
)
from aibridged.records.database import BESIDE, DatabaseError
from aibridged.records.remote_journal import have_living, left_behind_before_group
from aibridged.records.spool import SPOOL_FILE, Spool, SpoolError, SpoolInUseError
from aibridged.records.whole_file import part_beside


class Restored(NamedTuple):
    """What was restored, and the directory of what was there before; None if nothing was."""

    copy: Copy
    replaced: Path | None


def restore(
    file: Path,
    database: Path,
    clock: Clock,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> Restored:
    """Put a copy of the backup `file` in the place of the database.

    The copy is checked first. What it replaces is kept in a directory beside it, with the facts in
    spool and journal: they belong to that database. It blocks, and holds the daemon's lock.

    Raises:
        DatabaseError: a daemon runs, the file isn't a sound backup, or something can't be written.
    """
    check_is_sqlite(file)
    state_dir = database.parent
    if database.exists() and file.samefile(database):
        raise DatabaseError(f"{file} is the database itself: choose a backup.")
    spool = Spool(state_dir / SPOOL_FILE)
    in_use = DatabaseError(
        f"A daemon is using {state_dir}: stop it first (systemctl stop aibridged.socket"
        " aibridged.service)."
    )
    try:
        spool.open()
    except SpoolInUseError:
        raise in_use from None
    except SpoolError as error:
        raise DatabaseError(str(error)) from None
    if have_living(state_dir):  # their writer process is about to be started again
        spool.close()
        raise in_use
    try:
        with part_beside(database) as part:
            copy_of(file, part, clock, is_at_rest=True, sleep=sleep)
            try:
                copy = checked(part)
            except DatabaseError as error:
                raise DatabaseError(str(error).replace(str(part), str(file))) from None
            return Restored(copy, _swap(part, database, spool, clock))
    except OSError as error:
        raise DatabaseError(f"{error.filename or database}: {error.strerror}.") from None
    finally:
        spool.close()


def _swap(part: Path, database: Path, spool: Spool, clock: Clock) -> Path | None:
    """Put the copy in place, and say where what was there is now.

    The log goes before its database: beside another one, it would destroy that.
    """
    state_dir = database.parent
    files = [Path(f"{database}{suffix}") for suffix in BESIDE]
    aside = None
    if database.exists() or spool.size:
        aside = _make_aside(state_dir, clock)
        for each in (*files, *left_behind_before_group(state_dir)):
            with suppress(FileNotFoundError):
                os.rename(each, aside / each.name)
        _keep_spool(spool, state_dir / SPOOL_FILE, aside)
        if database.exists():
            try:
                os.link(database, aside / database.name)
            except OSError:  # a file system without hard links
                os.rename(database, aside / database.name)
        flush(aside)
    os.replace(part, database)
    flush(state_dir)
    return aside


def _make_aside(state_dir: Path, clock: Clock) -> Path:
    aside = state_dir / f"replaced-{clock.wall():%Y%m%dT%H%M%SZ}"
    aside.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = state_dir.stat()
        os.chown(aside, owner.st_uid, owner.st_gid)
    return aside


def _keep_spool(spool: Spool, path: Path, aside: Path) -> None:
    """Move the facts, and not the file: it is the lock."""
    if not spool.size:
        return
    with open(make_private(aside / path.name), "wb") as kept:
        kept.write(path.read_bytes())
        kept.flush()
        os.fsync(kept.fileno())
    spool.clear()
