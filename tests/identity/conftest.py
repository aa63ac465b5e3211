"""A store of users and tokens in a database of its own, for every kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aibridged.identity.tokens import TokenStore, metadata
from aibridged.records.database import database_url, make_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = make_engine(database_url(tmp_path))
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine, clock) -> TokenStore:
    return TokenStore(engine, clock)
