"""The identity provider's refresh tokens: encrypted, one a person, one refresh at a time."""

import pytest
import sqlalchemy as sa

from aibridged.config.secret import Secret
from aibridged.identity.credential_key import CredentialKey, CredentialKeyError
from aibridged.identity.grants import LEASE, Grants, Identity
from aibridged.identity.tables import identities


@pytest.fixture
def key(tmp_path):
    return CredentialKey(tmp_path / "credentials.key")


@pytest.fixture
def grants(engine, key, clock):
    grants = Grants(engine, key, clock)
    grants.prepare()
    return grants


def test_a_token_is_encrypted_for_the_person(grants, identity, engine):
    assert grants.of(identity) is None
    grants.put(identity, Secret("s3cret-one"))
    assert grants.of(identity).refresh_token.reveal() == "s3cret-one"
    with engine.begin() as connection:
        connection.execute(
            identities.insert().from_select(
                ["issuer", "subject", "user_id", "created_at", "encrypted_refresh_token"],
                sa.select(
                    identities.c.issuer,
                    sa.literal("b-2"),
                    identities.c.user_id,
                    identities.c.created_at,
                    identities.c.encrypted_refresh_token,
                ),
            )
        )
        stored = connection.execute(sa.select(identities)).all()
    assert "s3cret" not in repr(stored)
    with pytest.raises(CredentialKeyError):
        grants.of(Identity(identity.issuer, "b-2"))


def test_a_refresh_does_not_undo_a_newer_sign_in(grants, identity):
    grants.put(identity, Secret("one"))
    old = grants.of(identity)
    grants.put(identity, Secret("two"))
    grants.replace(old, Secret("one-b"))
    assert not grants.drop(old)
    assert grants.of(identity).refresh_token.reveal() == "two"
    grants.replace(grants.of(identity), Secret("three"))
    assert grants.of(identity).refresh_token.reveal() == "three"
    assert grants.drop(grants.of(identity))
    assert grants.of(identity) is None


def test_one_refresh_at_a_time(grants, identity, clock):
    lease = grants.lease(identity)
    assert grants.lease(identity) is None
    grants.release(identity, lease)
    lease = grants.lease(identity)
    clock.advance(LEASE.total_seconds())
    later = grants.lease(identity)
    assert later is not None
    grants.release(identity, lease)  # by one that took too long
    assert grants.lease(identity) is None


def test_a_lost_key_is_not_replaced(grants, identity, key):
    grants.put(identity, Secret("one"))
    key.path.unlink()
    with pytest.raises(CredentialKeyError, match="missing"):
        grants.prepare()
    assert not key.exists
