"""How SQLite is written to, where it differs."""

import os
import sqlite3
import time
from datetime import UTC, datetime

import pytest

from aibridged.records import schema, sqlite
from aibridged.records.sqlite import CHECKPOINT_PATIENCE_MS, SqliteBackend
from tests.own_time import OwnTime

BUSY_S = 0.05
"""How long the tests' databases wait for a lock."""


@pytest.fixture
def backend(sqlite_database):
    made = SqliteBackend(sqlite_database.engine, recorder_id=1)
    made.connect()
    yield made
    made.disconnect()


@pytest.mark.parametrize("microsecond", [0, 1, 120000])
def test_a_time_is_written_as_sqlalchemy_reads_it(backend, sqlite_database, microsecond):
    at = datetime(2026, 1, 1, 0, 0, 0, microsecond, tzinfo=UTC)
    backend.begin()
    backend.execute(
        "INSERT INTO aibridge_interceptions (id, initiator_id, provider, provider_name, model,"
        " client, credential_kind, credential_hint, recorder_id, started_at)"
        " VALUES ('i', 'u', 'p', 'n', 'm', 'c', 'k', '', 1, ?)",
        (backend.time(at),),
    )
    backend.commit()
    assert sqlite_database.row(schema.interceptions, started_at=at)["started_at"] == at


@pytest.fixture
def write(backend):
    """Commits a row, which may be long."""
    backend.execute("CREATE TABLE t (a)")

    def write(length=1):
        backend.begin()
        backend.execute("INSERT INTO t VALUES (zeroblob(?))", (length,))
        backend.commit()

    return write


@pytest.fixture
def connect(sqlite_database):
    """Makes other connections."""
    made = []

    def connect():
        made.append(
            sqlite3.connect(sqlite_database.state_dir / "aibridged.db", isolation_level=None)
        )
        return made[-1]

    yield connect
    for each in made:
        each.close()


def salts(database):
    """What tells one write-ahead log from the next in the same file."""
    return (database.state_dir / "aibridged.db-wal").read_bytes()[16:24]


def test_a_checkpoint_brings_what_is_committed_into_the_database(
    backend, write, sqlite_database, monkeypatch
):
    path = sqlite_database.state_dir / "aibridged.db"
    write(100_000)
    before = path.stat().st_size
    assert not backend.checkpoint_aside()
    assert path.stat().st_size > before + 100_000
    monkeypatch.setattr(sqlite, "WAL_BYTES", 50_000)
    write()
    assert backend.checkpoint_aside(), "the log is too long"
    backend.close_aside()


def test_others_commit_while_it_lasts_and_none_begins_the_log_anew(
    backend, write, connect, sqlite_database
):
    """A commit that did, during a checkpoint, is what the WAL-reset bug takes."""
    write()
    first = salts(sqlite_database)
    other = connect()
    for _ in range(3):
        backend.checkpoint_aside()
        # As during the next one: all that was committed is in the database.
        assert any(each.in_transaction for each in backend._aside)
        write()
        other.execute("INSERT INTO t VALUES (1)")
        assert salts(sqlite_database) == first
    backend.close_aside()


def test_with_nothing_to_bring_there_is_no_checkpoint(backend, write, sqlite_database):
    """What would be read then is the database, which keeps nobody from beginning the log anew."""
    write()
    backend.checkpoint_aside()
    backend.truncate_log()
    readers = backend._aside
    assert not backend.checkpoint_aside()
    assert not any(each.in_transaction for each in readers)
    backend.close_aside()


def test_a_log_that_was_truncated_begins_anew(backend, write, sqlite_database):
    write()
    backend.checkpoint_aside()
    first = salts(sqlite_database)
    backend.truncate_log()
    assert not backend.begin_at_once(), "it flushes the log's header: the disk is to be waited for"
    write()
    assert salts(sqlite_database) != first
    assert backend.begin_at_once()
    backend.rollback()
    backend.close_aside()


def test_a_log_is_not_truncated_during_a_checkpoint(backend, write, sqlite_database):
    write()
    backend.checkpoint_aside()
    first = salts(sqlite_database)
    with backend._aside_lock:
        backend.truncate_log()
    write()
    assert salts(sqlite_database) == first
    backend.close_aside()


def test_a_reconnected_database_is_checkpointed_by_new_connections(backend, write):
    write()
    backend.checkpoint_aside()
    before = list(backend._aside)
    backend.disconnect()
    backend.connect()
    write()
    backend.checkpoint_aside()
    assert not set(before) & set(backend._aside)
    backend.close_aside()


def test_truncating_hardly_waits_for_a_reader(backend, write, connect):
    """Requests would wait with it."""
    write()
    reader = connect()
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    write()
    own = OwnTime()
    backend.truncate_log()
    assert own.elapsed() < BUSY_S


def test_truncating_waits_a_moment_for_a_writer(backend, write, connect):
    """Without the lock it goes on as one during which others may commit."""
    writer = connect()
    writer.execute("BEGIN IMMEDIATE")
    began = time.perf_counter()
    backend.truncate_log()
    assert time.perf_counter() - began > 0.9 * CHECKPOINT_PATIENCE_MS / 1000


def test_beginning_at_once_waits_for_nobody_and_beginning_does(backend, sqlite_database):
    backend.execute("CREATE TABLE t (a)")
    backend.begin()
    backend.execute("INSERT INTO t VALUES (1)")
    backend.commit()
    other = sqlite3.connect(sqlite_database.state_dir / "aibridged.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for begin, least, most in ((backend.begin_at_once, 0, BUSY_S / 2), (backend.begin, BUSY_S, 9)):
        began = time.perf_counter()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            begin()
        assert least * 0.9 <= time.perf_counter() - began < most
    other.close()
    assert backend.begin_at_once()
    backend.rollback()


def test_the_commit_that_begins_the_wal_anew_is_not_made_at_once(backend):
    """It flushes the WAL's header: the disk is to be waited for."""
    backend.execute("CREATE TABLE t (a)")
    for wait in (lambda: None, backend.truncate_log, backend.connect):
        wait()
        backend.begin()
        backend.commit()
        assert not backend.begin_at_once(), "nothing was written"
        backend.begin()
        backend.execute("INSERT INTO t VALUES (1)")
        backend.commit()
        assert backend.begin_at_once()
        backend.rollback()


def test_flushing_brings_the_wal_to_the_disk(backend, sqlite_database, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_ino))
    backend.flush()
    assert flushed == [(sqlite_database.state_dir / "aibridged.db-wal").stat().st_ino]


def test_every_other_recorder_of_the_file_is_dead(backend):
    assert backend.owner_is_dead(2)
    assert not backend.owner_is_dead(1)


def test_a_file_that_is_not_in_its_place_is_not_written_to(backend, sqlite_database):
    path = sqlite_database.state_dir / "aibridged.db"
    path.rename(path.with_name("elsewhere"))
    for attempt in (backend.begin, backend.connect):
        with pytest.raises(sqlite3.OperationalError, match="No such file"):
            attempt()
    assert not path.exists()
    path.touch()
    with pytest.raises(sqlite3.OperationalError, match="replaced"):
        backend.begin()
    path.with_name("elsewhere").rename(path)
    backend.begin()
    backend.commit()


@pytest.mark.parametrize(
    ("error", "of_a_row"),
    [
        (sqlite3.IntegrityError("FOREIGN KEY constraint failed"), True),
        (sqlite3.DataError("string or blob too big"), True),
        (OverflowError("Python int too large"), True),
        (sqlite3.OperationalError("database is locked"), False),
        (sqlite3.DatabaseError("database disk image is malformed"), False),
        (OSError("I/O"), False),
    ],
)
def test_an_error_is_of_a_row_or_of_the_database(backend, error, of_a_row):
    assert backend.is_refusal(error) is of_a_row


def test_a_reason_quotes_no_values(backend):
    assert backend.reason(sqlite3.OperationalError("database is locked")) == "database is locked"
    assert backend.reason(ValueError("secret")) == "ValueError"


def test_a_flush_without_a_descriptor_left_is_no_outage(backend, no_descriptor_left):
    backend.execute("CREATE TABLE t (a)")
    with no_descriptor_left():
        backend.flush()
    backend.flush()


def test_it_knows_whether_others_have_committed(backend, write, connect):
    """Its own commits don't count; those that it may have missed without a connection do."""

    def was_changed():
        backend.begin()
        found = backend.was_changed()
        backend.commit()
        return found

    was_changed()
    write()
    assert not was_changed()
    connect().execute("INSERT INTO t VALUES (1)")
    assert was_changed()
    assert not was_changed()
    backend.disconnect()
    backend.connect()
    was_changed()
    number = backend._data_version
    backend.disconnect()
    backend.connect()
    assert was_changed()
    assert backend._data_version == number, "a new connection counts from the same number on"
