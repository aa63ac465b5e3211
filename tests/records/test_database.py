"""Which database is meant, how its connections are set up, and what is said when it can't be."""

import stat
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from aibridged.records.database import (
    DatabaseError,
    database_url,
    describe_sqlite,
    make_engine,
    place_of,
)


def pragma(engine, name):
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_without_a_url_it_is_a_file_in_the_state_directory_that_others_cannot_read(tmp_path):
    engine = make_engine(database_url(tmp_path))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        for file in tmp_path.iterdir():
            assert file.name.startswith("aibridged.db")
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_sqlite_is_set_up_for_what_the_record_promises(tmp_path):
    engine = make_engine(database_url(tmp_path), busy_timeout=1.5)
    settings = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint", "busy_timeout")
    assert [pragma(engine, name) for name in settings] == ["wal", 1, 1, 0, 1500]


def test_schema_changes_are_rolled_back_too(tmp_path):
    engine = make_engine(database_url(tmp_path))
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        connection.rollback()
    assert pragma(engine, "table_info(t)") is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_named_by_its_url(scheme):
    url = database_url(Path(), f"{scheme}://u:p%40ss@host:5433/db?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port) == ("u", "p@ss", "host", 5433)
    assert url.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "mysql://u:hunter2@h/d",
        "postgres://u:hunter2@h:x/d",
        "postgres://u:hunter2@h:x,g:5/d",
    ],
)
def test_a_bad_url_is_refused_without_quoting_it(url):
    with pytest.raises(DatabaseError, match="postgres://") as caught:
        database_url(Path(), url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        DatabaseError, match=r"not installed \(psycopg\)\. Install it:\n.*\[binary|postgres\]"
    ):
        make_engine(database_url(Path(), "postgres://h/d"))


def test_a_state_directory_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DatabaseError, match="--state-dir"):
        make_engine(database_url(tmp_path / "none"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_no_file_of_a_database_is_a_symbolic_link(tmp_path, suffix):
    """SQLite would write to what it points at."""
    link, target = tmp_path / f"aibridged.db{suffix}", tmp_path / "target"
    for content in (b"", None):
        if content is not None:
            target.write_bytes(content)
        link.symlink_to(target)
        with pytest.raises(DatabaseError, match=rf"aibridged\.db{suffix} .*symbolic link"):
            make_engine(database_url(tmp_path))
        link.unlink()
        target.unlink(missing_ok=True)
    make_engine(database_url(tmp_path))


@pytest.mark.parametrize(
    ("version", "warns"), [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False)]
)
def test_a_sqlite_with_the_wal_reset_bug_is_named(version, warns):
    text = describe_sqlite(version)
    assert text.startswith(f"SQLite {'.'.join(map(str, version))}")
    assert ("WAL-reset" in text) is warns


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+psycopg://u:hunter2@db/x", "postgresql://db:5432/x"),
        ("postgresql+psycopg://db:5433/x?password=hunter2", "postgresql://db:5433/x"),
        ("postgresql+psycopg://u@/x?host=/run/pg&port=5434", "postgresql:///run/pg:5434/x"),
        ("postgresql+psycopg://u@/x?host=a,b&port=5433,", "postgresql://a:5433,b:5432/x"),
        ("postgresql+psycopg://alice@db", "postgresql://db:5432/alice"),
        ("postgresql+psycopg://", "postgresql://localhost:5432/"),
    ],
)
def test_a_place_has_no_credentials(url, place):
    assert place_of(sa.make_url(url)) == ("PostgreSQL", place)


def test_the_place_of_a_file_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place_of(database_url(Path("x"))) == ("SQLite", f"{tmp_path}/x/aibridged.db")


def test_kept_connections_are_used_again(tmp_path):
    engine = make_engine(database_url(tmp_path), kept=2)
    used = set()
    for _ in range(3):
        with engine.begin() as connection:
            used.add(id(connection.connection.dbapi_connection))
    assert len(used) == 1
    engine.dispose()


def test_a_kept_connection_to_a_file_that_was_replaced_is_not_used(tmp_path):
    url = database_url(tmp_path)
    engine = make_engine(url, kept=1)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE before (x)")
    (tmp_path / "aibridged.db").rename(tmp_path / "old.db")
    for beside in ("-wal", "-shm"):
        (tmp_path / f"aibridged.db{beside}").unlink(missing_ok=True)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()
