"""A backup takes the place of the database, which is kept with all that belongs to it."""

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from aibridged.records import schema
from aibridged.records.backup import back_up
from aibridged.records.database import DatabaseError
from aibridged.records.journal import JOURNAL_FILE, Journal
from aibridged.records.migrations import VERSION_TABLE
from aibridged.records.restore import restore
from aibridged.records.spool import SPOOL_FILE, Spool


@pytest.fixture
def database(sqlite_database):
    return sqlite_database


@pytest.fixture
def path(database):
    return database.state_dir / "aibridged.db"


@pytest.fixture
def backup(path, tmp_path, clock, add):
    """A backup with one interception; the database has another one, in its log."""
    add()
    back_up(path, tmp_path / "backup.db", clock)
    add()
    return tmp_path / "backup.db"


def test_it_has_what_the_backup_has_and_keeps_what_was_there(
    database, path, backup, clock, store, new_start, new_facts
):
    spool, journal = Spool(path.parent / SPOOL_FILE), Journal(path.parent / JOURNAL_FILE)
    spool.open()
    spool.append(new_facts("of a request"))
    journal.open()
    spool.close()
    journal.close()
    copy, replaced = restore(backup, path, clock)
    assert copy.interceptions == 1
    assert len(database.rows(schema.interceptions)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(replaced.stat().st_mode) == 0o700
    kept = {each.name: each.stat().st_size for each in replaced.iterdir()}
    assert {"aibridged.db", "aibridged.db-wal", JOURNAL_FILE, SPOOL_FILE} <= kept.keys()
    assert kept[SPOOL_FILE] > 0
    with closing(sqlite3.connect(replaced / "aibridged.db")) as before:
        assert before.execute("SELECT count(*) FROM aibridge_interceptions").fetchone() == (2,)
    left = {each.name for each in path.parent.iterdir()}
    assert JOURNAL_FILE not in left
    assert (path.parent / SPOOL_FILE).read_bytes() == b""
    again, _ = restore(replaced / "aibridged.db", path, Later(clock))
    assert again.interceptions == 2, "back to what was there"


class Later:
    """A clock in another second."""

    def __init__(self, clock):
        clock.advance(1)
        self.wall, self.monotonic = clock.wall, clock.monotonic


def test_a_fresh_state_directory_has_nothing_to_keep(backup, clock, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    copy, replaced = restore(backup, fresh / "aibridged.db", clock)
    assert (copy.interceptions, replaced) == (1, None)
    assert {each.name for each in fresh.iterdir()} == {"aibridged.db", SPOOL_FILE}


def test_it_is_refused_while_a_daemon_runs(database, path, backup, clock):
    spool = Spool(path.parent / SPOOL_FILE)
    spool.open()
    with pytest.raises(DatabaseError, match="stop it first"):
        restore(backup, path, clock)
    spool.close()
    assert len(database.rows(schema.interceptions)) == 2


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"UPDATE {VERSION_TABLE} SET version_num = '9999'", "Install the release that made it"),
        (f"DROP TABLE {VERSION_TABLE}", "no database of aibridged"),
    ],
)
def test_what_does_not_fit_changes_nothing(database, path, backup, clock, statement, words):
    with closing(sqlite3.connect(backup)) as copy:
        copy.execute(statement)
        copy.commit()
    before = {each.name for each in path.parent.iterdir()} | {SPOOL_FILE}
    with pytest.raises(DatabaseError, match=words) as raised:
        restore(backup, path, clock)
    assert str(backup) in str(raised.value)
    assert {each.name for each in path.parent.iterdir()} == before
    assert len(database.rows(schema.interceptions)) == 2


def test_files_that_are_no_backup_are_named(path, backup, clock, tmp_path):
    dump, text = tmp_path / "dump", tmp_path / "text"
    dump.write_bytes(b"PGDMP\1\2")
    text.write_text("hello")
    for file, words in (
        (tmp_path / "none", "can't be read"),
        (tmp_path, "can't be read"),
        (dump, "pg_restore"),
        (text, "no SQLite database"),
        (path, "the database itself"),
    ):
        with pytest.raises(DatabaseError, match=words):
            restore(file, path, clock)


def test_nothing_is_written_beside_the_backup(path, backup, clock, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    os.rename(backup, away / "b.db")
    restore(away / "b.db", path, clock)
    assert os.listdir(away) == ["b.db"]
