"""Fixtures that every part of the suite shares: a clock, and both databases, real ones.

Every test that takes `database` runs on SQLite and on PostgreSQL.
"""

import logging
import os
import resource
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from aibridged.identity.tokens import TokenStore
from aibridged.observe.direct_lines import DIRECT
from aibridged.records.database import database_url, make_engine
from aibridged.records.ids import uuid7
from aibridged.records.migrations import upgrade
from aibridged.records.schema import interceptions, metadata
from tests.migrated import migrate
from tests.postgres_databases import PostgresDatabases, postgres_named, run_on

pytest_plugins = (
    "tests.socket_fixtures",
    "tests.forward_proxy",
    "tests.identity_provider",
    "tests.postgres_server",
    "tests.price_tables",
    "tests.redis_replicas",
    "tests.redis_server",
)

# A busy machine is no fault of a test's, and CI says the same of one commit each time: what random
# examples find, they find at a desk.
settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("suite")

WALL_START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """A clock that stands still until a test moves it by hand."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def wall(self) -> datetime:
        return WALL_START + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> None:
        """Let time pass, for both clocks at once."""
        assert seconds >= 0, "time does not go back"
        self._elapsed += seconds


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Logging is one for the process: a test leaves it as it found it."""
    level = logging.root.level
    yield
    DIRECT.to(())
    for handler in logging.root.handlers[:]:
        if type(handler).__module__.startswith("aibridged."):
            logging.root.removeHandler(handler)
    logging.root.setLevel(level)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@contextmanager
def _no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)


@pytest.fixture(scope="session")
def no_descriptor_left() -> Callable[[], AbstractContextManager[None]]:
    """While it is entered, this process can open no file and no socket."""
    return _no_descriptor_left


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Finds a program by its name; without it the test is skipped, but fails under CI."""

    def find(name: str) -> str:
        # Debian keeps servers out of an ordinary user's path.
        path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if path is None:
            reason = f"NOT TESTED: the program {name} is not installed"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find


@pytest.fixture(scope="session")
def postgres_url(postgres_server) -> str:
    """The URL of an empty database of a real PostgreSQL."""
    return postgres_server.url


@pytest.fixture(scope="session")
def postgres_template(postgres_url) -> str:
    """The name of a database with the schema, to be copied."""
    run_on(postgres_url, "CREATE DATABASE template_aibridged")
    engine = make_engine(database_url(Path(), postgres_named(postgres_url, "template_aibridged")))
    upgrade(engine)
    return "template_aibridged"


def populate(engine: sa.Engine, *, models: Iterable[str]) -> str:
    """Users, a token, whose id is returned, and an ended interception of alice's for each model."""
    at = ManualClock()
    store = TokenStore(engine, at)
    for username in ("alice", "albert", "bob"):
        store.create_user(username, name=username.title())
    token, _ = store.create_token("alice", name="laptop", lifetime=None)
    row = {
        "initiator_id": "00000000-0000-4000-8000-000000000001",
        "username": "alice",
        "provider": "openai",
        "provider_name": "local",
        "client": "Claude Code",
        "client_session_id": "session-1",
        "credential_kind": "centralized",
        "credential_hint": "",
        "recorder_id": 1,
        "ended_at": at.wall(),
    }
    rows = []
    for model in models:
        at.advance(1)
        rows.append({**row, "id": uuid7(at.wall()), "model": model, "started_at": at.wall()})
    if rows:
        with engine.begin() as connection:
            connection.execute(sa.insert(interceptions), rows)
    return token.id


@pytest.fixture(scope="session", name="populate")
def _populate() -> Callable[..., str]:
    return populate


class Database:
    """A database with the schema, and what a test asks of it."""

    def __init__(self, url: sa.URL, state_dir: Path) -> None:
        self.url = url
        self.state_dir = state_dir
        self.engine = make_engine(url, busy_timeout=0.05)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def rows(self, table: sa.Table, **where: object) -> list[dict]:
        """The rows in the order of their keys."""
        query = sa.select(table).filter_by(**where).order_by(*table.primary_key)
        with self.engine.begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def row(self, table: sa.Table, **where: object) -> dict:
        (row,) = self.rows(table, **where)
        return row

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.engine.begin() as connection:
            return {
                name: connection.scalar(sa.select(sa.func.count()).select_from(table))
                for name, table in metadata.tables.items()
            }

    def open_count(self) -> int:
        return len(self.rows(interceptions, ended_at=None))


@pytest.fixture
def sqlite_database(tmp_path) -> Database:
    migrate(tmp_path)
    return Database(database_url(tmp_path), tmp_path)


@pytest.fixture(scope="session")
def postgres_databases(postgres_url, postgres_template) -> PostgresDatabases:
    return PostgresDatabases(postgres_url, postgres_template)


@pytest.fixture
def postgres_database(postgres_databases, tmp_path) -> Iterator[Database]:
    url = postgres_databases.take()
    made = Database(database_url(tmp_path, url), tmp_path)
    yield made
    made.engine.dispose()
    postgres_databases.give_back(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request) -> Database:
    return request.getfixturevalue(f"{request.param}_database")
