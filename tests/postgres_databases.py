"""PostgreSQL's databases with the schema: emptied and used again, since each takes long to make."""

import os
import time
from pathlib import Path

import psycopg

from aibridged.clock import SystemClock
from aibridged.records.database import database_url, make_engine

# What a test may have changed beside rows: tables, columns, indexes, and settings.
_SHAPE = """
    SELECT md5(string_agg(concat(relname, relkind, relnatts, relchecks), ' ' ORDER BY relname)),
        (SELECT count(*) FROM pg_db_role_setting), (SELECT count(*) FROM pg_trigger)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind IN ('r', 'p') AND relname <> 'aibridged_schema_version'
"""
_RESTART = """
    SELECT setval(oid, 1, false) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
"""
_PATIENCE_S = 0.2


class PostgresDatabases:
    """Databases for one test at a time each, copied from a template."""

    def __init__(self, url: str, template: str) -> None:
        self._url = url
        self._template = template
        self._spare: list[str] = []
        self._shape: tuple[object, ...] | None = None

    def take(self) -> str:
        """The URL of an empty one."""
        if self._spare:
            return self._spare.pop()
        name = f"test_{os.urandom(6).hex()}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY wal_log")
        url = postgres_named(self._url, name)
        if self._shape is None:
            with psycopg.connect(url, autocommit=True) as connection:
                self._shape = connection.execute(_SHAPE).fetchone()
        return url

    def give_back(self, url: str) -> None:
        """Empty it for the next test, or drop it if it isn't left alone and as it was."""
        with psycopg.connect(url, autocommit=True) as connection:
            kept = self._emptied(connection)
            name = connection.info.dbname
        if kept:
            self._spare.append(url)
            return
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _emptied(self, connection: psycopg.Connection) -> bool:
        until = SystemClock().monotonic() + _PATIENCE_S
        while connection.execute(_OTHERS).fetchone() != (0,):
            if SystemClock().monotonic() > until:
                return False
            time.sleep(0.002)  # those that were closed take a moment to go
        if connection.execute(_SHAPE).fetchone() != self._shape:
            return False
        tables = [name for (name,) in connection.execute(_TABLES)]
        any_row = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables
        )
        full = [name for (name,) in connection.execute(any_row)]
        if full:
            connection.execute(f"TRUNCATE {', '.join(full)} CASCADE")
        connection.execute(_RESTART)
        return True


def postgres_named(url: str, name: str) -> str:
    """The URL of another database of the server."""
    return url.replace("/postgres?", f"/{name}?")


def run_on(url: str, statement: str) -> None:
    """Execute a statement outside of a transaction."""
    engine = make_engine(database_url(Path(), url))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
