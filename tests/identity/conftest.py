"""A store of users and tokens in a database of its own, of each kind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from loguru import logger

from aibridged.identity.device_codes import DeviceCodes
from aibridged.identity.grants import Identity
from aibridged.identity.sign_in import Pair
from aibridged.identity.sign_ins import UNUSED_S, SignInStore
from aibridged.identity.tables import identities
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine
from tests.migrated import migrate


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> sa.Engine:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_database").engine
    migrate(tmp_path)
    return make_engine(database_url(tmp_path))


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


@pytest.fixture
def identity(engine, store, clock) -> Identity:
    """Ann's at an identity provider; she is the only user."""
    ann = store.create_user("ann", email="ann@example.com")
    with engine.begin() as connection:
        row = {"issuer": "https://id.example.com", "subject": "a-1", "user_id": ann.id}
        connection.execute(identities.insert().values(**row, created_at=clock.wall()))
    return Identity("https://id.example.com", "a-1")


@pytest.fixture
def sign_ins(engine, clock) -> SignInStore:
    return SignInStore(engine, clock, bearer_ttl=3600.0)


@pytest.fixture
def codes(engine, clock, sign_ins) -> DeviceCodes:
    return DeviceCodes(engine, clock, sign_ins)


@pytest.fixture
def sign_in(codes, store, identity) -> Callable[..., Pair]:
    """Signs a device of ann's in."""

    def sign_in(lifetime: float = UNUSED_S) -> Pair:
        (ann,) = (user for user in store.list_users() if user.username == "ann")
        code = codes.create("claude-code/2.1.197", "10.0.0.1")
        assert codes.approve(code.user_code, ann.id, identity, lifetime)
        pair = codes.poll(code.secret.reveal())
        assert isinstance(pair, Pair)
        return pair

    return sign_in
