"""What sign-ins leave behind is deleted, and nothing that is still needed."""

import pytest
import sqlalchemy as sa

from aibridged.config.secret import Secret
from aibridged.identity import sign_in_purge
from aibridged.identity.credential_key import CredentialKey
from aibridged.identity.grants import Grants
from aibridged.identity.sign_in import Standing
from aibridged.identity.sign_in_purge import SignInPurge
from aibridged.identity.sign_ins import UNUSED_S
from aibridged.identity.tables import device_codes, refresh_tokens, sign_ins, tokens

DAY_S = 24 * 3600.0


@pytest.fixture
def purge(engine, clock):
    return SignInPurge(engine, clock)


@pytest.fixture
def counts(engine):
    def counts():
        with engine.begin() as connection:
            return [
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                for table in (device_codes, tokens, refresh_tokens, sign_ins)
            ]

    return counts


def test_what_is_over_is_deleted(purge, counts, sign_in, sign_ins, store, clock):
    store.create_token("ann", name="laptop", lifetime=60.0)
    pair = sign_in()
    presented = sign_ins.present(pair.refresh_token.reveal())
    later = sign_ins.rotate(presented.token, presented.sign_in.id, UNUSED_S)
    assert counts() == [1, 3, 2, 1]
    assert purge() == 0
    clock.advance(3600 + 600)
    assert purge() == 1
    assert counts() == [0, 3, 2, 1]
    clock.advance(DAY_S)
    assert purge() == 2
    assert counts() == [0, 1, 2, 1]  # a token that was made by hand is kept
    clock.advance(7 * DAY_S)
    assert purge() == 1
    assert sign_ins.present(later.refresh_token.reveal()).standing is Standing.GOOD
    sign_ins.end(presented.sign_in.id, reason="x")
    assert purge() == 0
    clock.advance(7 * DAY_S)
    assert purge() == 2
    assert counts() == [0, 1, 0, 0]


def test_batches_are_bounded(purge, counts, codes, clock, monkeypatch):
    monkeypatch.setattr(sign_in_purge, "BATCH", 2)
    for _ in range(5):
        codes.create("", "")
    clock.advance(DAY_S)
    assert [purge() for _ in range(4)] == [2, 2, 1, 0]


def test_what_a_provider_granted_for_a_deleted_user_is_forgotten(
    purge, engine, store, identity, tmp_path, clock
):
    key = CredentialKey(tmp_path / "key")
    grants = Grants(engine, key, clock)
    grants.prepare()
    grants.put(identity, Secret("granted"))
    assert purge() == 0
    store.delete_user("ann")
    assert purge() == 1
    assert grants.of(identity) is None
    assert purge() == 0
