"""A store of users and tokens in a database of its own, of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from loguru import logger

from aibridged.identity.tables import metadata
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    on_postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_url") if on_postgres else None
    engine = make_engine(database_url(tmp_path, url))
    metadata.create_all(engine)
    yield engine
    if on_postgres:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")


@pytest.fixture
def log() -> Iterator[list[str]]:
    """All that is logged, with its level."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level}: {message}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def store(engine, clock) -> TokenStore:
    return TokenStore(engine, clock)
