"""How SQLite is written to, where it differs."""

import os
import sqlite3
import time
from datetime import UTC, datetime

import pytest

from aibridged.records import schema
from aibridged.records.sqlite import CHECKPOINT_PATIENCE_MS, SqliteBackend

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


def test_a_checkpoint_hardly_waits_for_a_reader(backend, sqlite_database):
    """Requests would wait with it."""
    backend.execute("CREATE TABLE t (a)")
    reader = sqlite3.connect(sqlite_database.state_dir / "aibridged.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    backend.execute("INSERT INTO t VALUES (1)")
    began = time.perf_counter()
    backend.checkpoint()
    assert time.perf_counter() - began < BUSY_S
    reader.close()


def test_a_checkpoint_waits_a_moment_for_a_writer(backend, sqlite_database):
    """Without the lock it goes on as one during which others may commit."""
    backend.execute("CREATE TABLE t (a)")
    writer = sqlite3.connect(sqlite_database.state_dir / "aibridged.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    began = time.perf_counter()
    backend.checkpoint()
    assert time.perf_counter() - began > 0.9 * CHECKPOINT_PATIENCE_MS / 1000
    writer.close()


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
    for wait in (lambda: None, backend.checkpoint, backend.connect):
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
