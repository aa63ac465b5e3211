"""A store of users and tokens in a database of its own, for every kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aibridged.identity.tokens import TokenStore, metadata


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/aibridged.db")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine, clock) -> TokenStore:
    return TokenStore(engine, clock)
