"""Database URLs, engines and connection settings, for SQLite (write-ahead log) and PostgreSQL.

SQLite: WAL with `synchronous=NORMAL`. A commit has reached the kernel, so it survives any death of
the daemon, SIGKILL too. A power cut or a kernel crash never damages the database but may take the
commits since the last checkpoint, which the writer makes every few seconds. `FULL` would close
that window at about 80 µs of CPU and a disk flush per commit, which is more than everything
else that a request's record costs; PostgreSQL is the choice for those who need it.

No connection checkpoints by itself: see `sqlite.SqliteBackend.checkpoint_aside`.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from aibridged.config import extras
from aibridged.config.key_mistakes import POSTGRES_FORM
from aibridged.config.private_file import check_regular, check_usable, make_private
from aibridged.config.resolution import StartError
from aibridged.records.postgres_servers import primary_of, read_url, servers_of

BUSY_TIMEOUT_S = 2.0
"""How long a SQLite connection waits for another connection's lock."""
UNREACHABLE_S = 10
"""Seconds after which a PostgreSQL server that doesn't respond is considered down."""

BEGIN = "sqlite_begin"
"""Execution option: the statement that begins SQLite's transactions on this connection."""

DATABASE_FILE = "aibridged.db"
"""SQLite's database in the state directory."""
BESIDE = ("-wal", "-shm", "-journal")
"""What the names of the files that SQLite keeps beside a database add to its own."""

_FIXED_SQLITE = (3, 51, 3)
_URLS_OWN = {"application_name", "connect_timeout", "target_session_attrs"}
"""Parameters of a PostgreSQL URL that count more than our own."""


Engine = sa.Engine
Connection = sa.Connection


class DatabaseError(StartError):
    """A database that can't be used; the message says why and how to fix it, without a password."""


def reason_of(error: BaseException) -> str:
    """The driver's own words; SQLAlchemy's would add the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).partition("\n")[0]


@contextmanager
def failures_told() -> Iterator[None]:
    """What the driver raises within is a DatabaseError, without statements and values."""
    try:
        yield
    except DBAPIError as error:
        raise DatabaseError(f"The database failed: {reason_of(error)}") from None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: SQLite's has the lock from its beginning."""
    with engine.connect() as connection, writing_over(connection):
        yield connection


@contextmanager
def writing_over(connection: Connection) -> Iterator[Connection]:
    """The same over a connection that is kept."""
    connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
    with connection.begin():
        yield connection


def database_url(state_dir: Path, postgres_url: str | None = None) -> sa.URL:
    """The URL of the PostgreSQL database, or of the SQLite file in the state directory.

    Raises:
        DatabaseError: `postgres_url` isn't valid.
    """
    if postgres_url is None:
        return sa.URL.create("sqlite", database=str(state_dir / DATABASE_FILE))
    try:
        url = read_url(postgres_url)
    except (ArgumentError, ValueError):
        raise DatabaseError(
            "The PostgreSQL URL is invalid.",
            "Write postgres://user:password@host/database, with special characters of the password "
            "in percent-encoding (@ is %40, : is %3A, / is %2F).",
        ) from None
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise DatabaseError(
            f"{url.drivername}:// is not the start of a PostgreSQL URL.",
            POSTGRES_FORM,
        )
    return url.set(drivername="postgresql+psycopg")


def make_engine(url: sa.URL, *, busy_timeout: float = BUSY_TIMEOUT_S, kept: int = 0) -> sa.Engine:
    """An engine that opens connections on demand and closes them after use.

    With `kept` it has so many at most, and keeps them open: for many short transactions, of which
    opening is the greatest part. One that is no longer usable is replaced before it is used.

    `busy_timeout` is in seconds. Transactions on SQLite begin where SQLAlchemy begins them, for
    schema changes too.

    Raises:
        DatabaseError: the driver is missing, or the SQLite file can't be created.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, busy_timeout, kept)
    options: dict[str, Any] = {
        "connect_timeout": UNREACHABLE_S,
        "keepalives_idle": UNREACHABLE_S,
        "keepalives_interval": UNREACHABLE_S // 2,
        "keepalives_count": 2,
        "tcp_user_timeout": UNREACHABLE_S * 1000,
        "application_name": "aibridged",
    }
    if len(servers_of(url)) > 1:
        options["target_session_attrs"] = "read-write"
    options |= {name: url.query[name] for name in _URLS_OWN & url.query.keys()}
    # Of the URL's, all count but these: times are read and written as they say.
    theirs = url.normalized_query.get("options", ())
    options["options"] = " ".join((*theirs, "-c TimeZone=UTC -c DateStyle=ISO"))
    try:
        # Only here, because the driver is an extra.
        from aibridged.records.bounded_connection import BoundedConnection

        # Rows are written as tuples, so placeholders go by position and not by name.
        engine = sa.create_engine(
            url, **_pool(kept), pool_pre_ping=kept > 0, connect_args=options, paramstyle="format"
        )
    except (ImportError, NoSuchModuleError) as error:
        missing = extras.sentences("postgres", "PostgreSQL can't be used")
        reason = str(error).partition("\n")[0].rstrip(".:")
        broken = f"PostgreSQL's driver can't be loaded: {reason}."
        remedy = f"Install it with its libraries:\n{extras.command('postgres')}"
        raise DatabaseError(missing or f"{broken} {remedy}") from None

    primary = primary_of(tuple(servers_of(url)))

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> Any:
        return primary.connect(BoundedConnection.connect, options)

    return engine


def describe(engine: Engine) -> str:
    """Name of the database for the log, without a password."""
    if engine.url.get_backend_name() == "sqlite":
        return f"{engine.url.database} ({describe_sqlite()})"
    return engine.url.render_as_string(hide_password=True)


class Place(NamedTuple):
    """Where a database is: its `kind` for people, and its `location` without any credential."""

    kind: str
    location: str


def place_of(url: sa.URL) -> Place:
    """The place of a database. Equal places are one database, for any user."""
    if url.get_backend_name() == "sqlite":
        return Place("SQLite", os.path.abspath(url.database or ""))
    # A query may contain the password, too.
    servers = ",".join(servers_of(url))
    return Place("PostgreSQL", f"postgresql://{servers}/{url.database or url.username or ''}")


def describe_sqlite(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """The linked SQLite's version for the log, with its known problems."""
    text = f"SQLite {'.'.join(map(str, version))}"
    if version >= _FIXED_SQLITE:
        return text
    return (
        f"{text}, which has the WAL-reset bug of the releases before 3.51.3: harmless while only "
        "the daemon writes to the database, since no other connection runs checkpoints"
    )


def _pool(kept: int) -> dict[str, Any]:
    """The arguments of an engine whose pool keeps so many connections."""
    if not kept:
        return {"poolclass": NullPool}
    return {"poolclass": QueuePool, "pool_size": kept, "max_overflow": 0, "pool_use_lifo": True}


def _sqlite_engine(url: sa.URL, busy_timeout: float, kept: int) -> sa.Engine:
    if url.database:
        _make_private(url.database)
    engine = sa.create_engine(
        url, **_pool(kept), connect_args={"timeout": busy_timeout, "check_same_thread": False}
    )
    if kept and url.database:
        _keep_to_file(engine.pool, url.database)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver would begin transactions by itself, and not around schema changes.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten with zeros, and not only forgotten.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))

    return engine


def _keep_to_file(pool: Pool, path: str) -> None:
    """Replace kept connections to a file that isn't the one at the path any more."""

    @sa.event.listens_for(pool, "connect")
    def connected(_connection: Any, record: Any) -> None:
        record.info["file"] = _file_at(path)

    @sa.event.listens_for(pool, "checkout")
    def check(_connection: Any, record: Any, _fairy: Any) -> None:
        if record.info["file"] != _file_at(path):
            raise DisconnectionError("the database file was replaced")


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_private(path: str) -> None:
    """Create the file, if it is missing, readable by its owner only: it holds prompts.

    SQLite would follow a symbolic link, for this file and for those that it keeps beside it. They
    are checked without opening them: closing one would release the process's locks on it.
    """
    try:
        with suppress(FileExistsError):
            os.close(make_private(Path(path)))
        check_usable(Path(path))
        for suffix in BESIDE:
            check_regular(Path(path + suffix))
    except OSError as error:
        raise DatabaseError(
            f"The database {error.filename or path} can't be opened: {error.strerror}.",
            "Check the permissions of the state directory, or choose another --state-dir.",
        ) from None
