"""A backup is of one moment, private, checked, and whole or not there; writers go on meanwhile."""

import os
import sqlite3
import stat

import pytest

from aibridged.records import schema
from aibridged.records.backup import PAGES_AT_ONCE, SHARE, back_up, checked
from aibridged.records.database import DatabaseError
from aibridged.records.migrations import VERSION_TABLE, newest


@pytest.fixture
def database(sqlite_database):
    return sqlite_database


@pytest.fixture
def path(database):
    return database.state_dir / "aibridged.db"


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "aibridged.db"


def grow(database, pages):
    """Fill the database until it has so many pages."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE ballast (content)")
        connection.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(?))", (pages * 4096,))


def test_it_is_of_one_moment_while_others_write(database, path, target, add, store, clock):
    for _ in range(3):
        add()
    grow(database, 5 * PAGES_AT_ONCE)
    pauses = []

    def write_meanwhile(seconds):
        pauses.append(seconds)
        assert len(pauses) < 50, "every commit begins the copy again"
        add()

    copy = back_up(path, target, clock, sleep=write_meanwhile)
    assert len(pauses) >= 5
    assert copy.interceptions == 3
    assert len(database.rows(schema.interceptions)) == 3 + len(pauses)
    assert copy.revision == newest()
    assert copy.is_current
    with sqlite3.connect(target) as found:
        assert found.execute("SELECT count(*) FROM aibridge_user_prompts").fetchone() == (3,)
    found.close()


def test_it_takes_a_share_of_the_time(database, path, target, clock):
    grow(database, 5 * PAGES_AT_ONCE)
    pauses = []

    class Slow:
        """A clock that takes a second for each look at it: so long is a step."""

        def monotonic(self):
            clock.advance(1)
            return clock.monotonic()

    back_up(path, target, Slow(), sleep=pauses.append)
    assert pauses
    assert set(pauses) == {1 / SHARE - 1}


def test_it_is_private_and_nothing_else_is_left(path, target, clock):
    back_up(path, target, clock)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(target.parent) == [target.name]
    with open(target, "rb") as file:
        assert file.read(20)[18:] == b"\1\1", "it would need a log beside it to be read"


def test_it_replaces_nothing_unless_it_is_told_to(path, target, clock):
    target.write_bytes(b"mine")
    with pytest.raises(DatabaseError, match="--force"):
        back_up(path, target, clock)
    assert target.read_bytes() == b"mine"
    back_up(path, target, clock, force=True)
    assert checked(target).interceptions == 0


def test_a_file_that_appears_meanwhile_is_not_replaced(database, path, target, clock):
    grow(database, 2 * PAGES_AT_ONCE)
    with pytest.raises(DatabaseError, match="--force"):
        back_up(path, target, clock, sleep=lambda _: target.write_bytes(b"mine"))
    assert target.read_bytes() == b"mine"
    assert os.listdir(target.parent) == [target.name]


def test_of_a_copy_that_fails_nothing_is_left(database, path, target, clock):
    grow(database, 2 * PAGES_AT_ONCE)

    def interrupt(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(path, target, clock, sleep=interrupt)
    assert os.listdir(target.parent) == []


def test_what_is_wrong_with_the_paths_is_said(path, target, clock, tmp_path):
    for database, where, words in (
        (tmp_path / "none.db", target, "no database at"),
        (path, target.parent, "is a directory"),
        (path, target.parent / "none" / "file", "does not exist"),
        (path, path, "the database itself"),
    ):
        with pytest.raises(DatabaseError, match=words):
            back_up(database, where, clock, force=True)
    assert not (tmp_path / "none.db").exists()


def changed(path, target, clock, *statements):
    """A copy with changes."""
    back_up(path, target, clock)
    with sqlite3.connect(target) as copy:
        for statement in statements:
            copy.execute(statement)
    copy.close()
    return target


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (f"DROP TABLE {VERSION_TABLE}", "no database of aibridged"),
        (f"UPDATE {VERSION_TABLE} SET version_num = '9999'", "later release"),
        (
            "INSERT INTO aibridge_model_thoughts (id, interception_id, content, created_at) "
            "VALUES ('1', '2', '', '2026-01-01')",
            "damaged",
        ),
    ],
)
def test_a_copy_that_is_not_sound_is_refused(path, target, clock, change, words):
    file = changed(path, target, clock, change)
    with pytest.raises(DatabaseError, match=words):
        checked(file)


def test_a_damaged_page_is_found(database, path, target, clock, add):
    for _ in range(200):
        add()
    back_up(path, target, clock)
    with open(target, "r+b") as file:
        file.seek(4096 * (target.stat().st_size // 4096 // 2))
        file.write(b"\xff" * 4096)
    with pytest.raises(DatabaseError, match=r"damaged|can't be read"):
        checked(target)
