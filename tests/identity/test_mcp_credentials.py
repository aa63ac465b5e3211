"""Users' own tokens for MCP servers: encrypted, found by whose they are, gone with the user."""

import pytest
import sqlalchemy as sa

from aibridged.config.secret import Secret
from aibridged.identity.credential_key import CredentialKey, CredentialKeyError
from aibridged.identity.mcp_credentials import McpCredential, McpCredentialStore
from aibridged.identity.tables import StoreUnavailableError, audit, mcp_credentials, metadata
from aibridged.identity.users import IdentityError

CANARY = "canary-0123456789"


@pytest.fixture
def key(tmp_path):
    return CredentialKey(tmp_path / "mcp-credentials.key")


@pytest.fixture
def credentials(engine, key, clock):
    return McpCredentialStore(engine, key, clock)


@pytest.fixture
def alice(store):
    return store.create_user("alice").id


def test_a_token_is_found_by_its_user(credentials, alice, store):
    bob = store.create_user("bob").id
    credentials.put("alice", "docs", Secret("a"))
    credentials.put("alice", "wiki", Secret("b"))
    credentials.put("bob", "docs", Secret("c"))
    assert credentials.tokens_of(alice) == {"docs": Secret("a"), "wiki": Secret("b")}
    assert credentials.tokens_of(bob) == {"docs": Secret("c")}
    assert credentials.tokens_of("nobody") == {}


def test_a_second_token_takes_the_place_of_the_first(credentials, alice):
    credentials.put("alice", "docs", Secret("a"))
    credentials.put("alice", "docs", Secret("b"))
    assert credentials.tokens_of(alice) == {"docs": Secret("b")}


def test_they_are_listed_without_the_tokens(credentials, alice, clock):
    assert credentials.list_all() == []
    credentials.put("alice", "docs", Secret(CANARY))
    assert credentials.list_all() == [McpCredential("alice", "docs", clock.wall())]
    assert CANARY not in repr(credentials.list_all())


def test_every_change_is_in_the_audit_log_without_the_token(credentials, alice, engine):
    credentials.put("alice", "docs", Secret(CANARY))
    credentials.remove("alice", "docs")
    with pytest.raises(IdentityError):
        credentials.remove("alice", "docs")
    statement = sa.select(audit).where(audit.c.action.startswith("mcp_token.")).order_by("id")
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    assert [(row.action, row.target, row.before, row.after) for row in rows] == [
        ("mcp_token.set", alice, None, {"server": "docs"}),
        ("mcp_token.remove", alice, {"server": "docs"}, None),
    ]
    assert CANARY not in repr(rows)


def test_a_removed_token_is_gone(credentials, alice):
    credentials.put("alice", "docs", Secret("a"))
    credentials.remove("alice", "docs")
    assert credentials.tokens_of(alice) == {}
    with pytest.raises(IdentityError, match="alice has no token for the MCP server 'docs'"):
        credentials.remove("alice", "docs")


def test_a_deleted_users_tokens_are_gone(credentials, store, alice, engine):
    credentials.put("alice", "docs", Secret("a"))
    store.delete_user("alice")
    assert credentials.tokens_of(alice) == {}
    with engine.begin() as connection:
        assert connection.execute(sa.select(mcp_credentials)).all() == []
    store.create_user("alice")
    assert credentials.list_all() == []


@pytest.mark.parametrize("method", ["put", "remove"])
def test_an_unknown_user_is_answered_with_the_nearest(credentials, alice, key, method):
    arguments = [Secret("a")] if method == "put" else []
    with pytest.raises(IdentityError, match=r"no user 'alcie'. Did you mean alice"):
        getattr(credentials, method)("alcie", "docs", *arguments)
    assert not key.exists


def test_an_id_that_no_server_has(credentials, alice):
    with pytest.raises(IdentityError, match="at most 32 characters"):
        credentials.put("alice", "x" * 33, Secret("a"))


def test_the_database_holds_no_token(credentials, alice, engine):
    credentials.put("alice", "docs", Secret(CANARY))
    with engine.begin() as connection:
        (row,) = connection.execute(sa.select(mcp_credentials)).all()
    assert CANARY.encode() not in bytes(row.encrypted_token)


def test_a_row_that_is_moved_to_another_user_is_no_token(credentials, store, alice, engine):
    bob = store.create_user("bob").id
    credentials.put("alice", "docs", Secret("a"))
    with engine.begin() as connection:
        connection.execute(mcp_credentials.update().values(user_id=bob))
    with pytest.raises(CredentialKeyError):
        credentials.tokens_of(bob)


def test_a_lost_key_is_not_replaced_while_tokens_wait_for_it(credentials, alice, key):
    credentials.put("alice", "docs", Secret("a"))
    key.path.unlink()
    with pytest.raises(CredentialKeyError, match="is missing"):
        credentials.tokens_of(alice)
    with pytest.raises(CredentialKeyError, match="is missing"):
        credentials.put("alice", "wiki", Secret("b"))
    assert not key.exists
    credentials.remove("alice", "docs")
    credentials.put("alice", "docs", Secret("b"))
    assert credentials.tokens_of(alice) == {"docs": Secret("b")}


def test_a_database_that_fails_says_nothing_secret(credentials, alice, engine):
    metadata.drop_all(engine)
    with pytest.raises(StoreUnavailableError) as caught:
        credentials.tokens_of(alice)
    assert "SELECT" not in str(caught.value)
