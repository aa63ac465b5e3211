"""How SQLite is written to, where it differs."""

import sqlite3
from datetime import UTC, datetime

import pytest

from aibridged.records import schema
from aibridged.records.sqlite import SqliteBackend


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


def test_a_checkpoint_waits_for_no_reader(backend, sqlite_database):
    """Requests would wait with it."""
    backend.execute("CREATE TABLE t (a)")
    reader = sqlite3.connect(sqlite_database.state_dir / "aibridged.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    backend.execute("INSERT INTO t VALUES (1)")
    (before,) = backend.execute("PRAGMA busy_timeout")[0]
    backend.checkpoint()
    assert backend.execute("PRAGMA busy_timeout") == [(before,)]
    assert before == 50
    reader.close()


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
