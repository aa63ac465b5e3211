"""Bearers and refresh tokens: their rotation, reuse and end."""

import pytest
import sqlalchemy as sa

from aibridged.identity.base import TokenRejectedError
from aibridged.identity.sign_in import Kind, Standing
from aibridged.identity.sign_ins import MAX_OF_A_USER, REPEATED_S, UNUSED_S
from aibridged.identity.tables import audit, refresh_tokens, tokens
from aibridged.identity.tables import sign_ins as sign_ins_table
from aibridged.identity.users import IdentityError


@pytest.fixture
def refresh(sign_ins):
    """Uses the refresh token of a pair."""

    def refresh(pair, lifetime=UNUSED_S):
        presented = sign_ins.present(pair.refresh_token.reveal())
        assert presented.standing is Standing.GOOD
        return sign_ins.rotate(presented.token, presented.sign_in.id, lifetime)

    return refresh


def standing(sign_ins, pair):
    return sign_ins.present(pair.refresh_token.reveal()).standing


def rows(engine, table):
    with engine.begin() as connection:
        return connection.execute(sa.select(table)).all()


def test_a_bearer_is_a_token_of_the_user_until_it_expires(sign_in, store, clock):
    pair = sign_in()
    assert pair.bearer.reveal().startswith("aib_")
    assert pair.refresh_token.reveal().startswith("air_")
    assert (pair.expires_in, pair.email) == (3600, "ann@example.com")
    assert store.authenticate(pair.bearer.reveal()).username == "ann"
    assert store.authenticate(pair.refresh_token.reveal()) is None
    assert store.authenticate(pair.refresh_token.reveal().replace("air_", "aib_")) is None
    clock.advance(3600)
    with pytest.raises(TokenRejectedError):
        store.authenticate(pair.bearer.reveal())


def test_no_secret_is_stored(engine, sign_in, refresh):
    pairs = [pair := sign_in(), refresh(pair)]
    stored = repr([rows(engine, table) for table in (tokens, refresh_tokens, sign_ins_table)])
    for each in (secret for pair in pairs for secret in (pair.bearer, pair.refresh_token)):
        assert each.reveal().rpartition("_")[2] not in stored


def test_refresh_tokens_rotate(sign_in, sign_ins, refresh, store):
    first = sign_in()
    second = refresh(first)
    third = refresh(second)
    secrets = {
        secret.reveal()
        for pair in (first, second, third)
        for secret in (pair.bearer, pair.refresh_token)
    }
    assert len(secrets) == 6
    for pair in (first, second, third):
        assert store.authenticate(pair.bearer.reveal()).username == "ann"
    assert standing(sign_ins, third) is Standing.GOOD


def test_one_that_comes_again_at_once_gets_the_same_successor(sign_in, sign_ins, refresh, clock):
    first = sign_in()
    second = refresh(first)
    clock.advance(REPEATED_S)
    presented = sign_ins.present(first.refresh_token.reveal())
    assert presented.standing is Standing.REPEATED
    again = sign_ins.repeat(presented)
    assert (again.bearer, again.refresh_token) == (second.bearer, second.refresh_token)
    assert again.expires_in == second.expires_in - REPEATED_S
    assert sign_ins.rotate(presented.token, presented.sign_in.id, None) is None


def test_one_that_comes_again_later_is_told_apart(sign_in, sign_ins, refresh, clock):
    first = sign_in()
    refresh(first)
    clock.advance(REPEATED_S + 1)
    assert standing(sign_ins, first) is Standing.REUSED


def test_the_end_of_a_sign_in_takes_all_that_it_issued(engine, sign_in, sign_ins, refresh, store):
    first, other = sign_in(), sign_in()
    second = refresh(first)
    sign_in_id = sign_ins.present(second.refresh_token.reveal()).sign_in.id
    assert sign_ins.end(sign_in_id, reason="reuse", actor="gateway")
    assert not sign_ins.end(sign_in_id, reason="reuse")
    for pair in (first, second):
        with pytest.raises(TokenRejectedError):
            store.authenticate(pair.bearer.reveal())
        assert standing(sign_ins, pair) is Standing.ENDED
    assert (
        sign_ins.rotate(sign_ins.present(second.refresh_token.reveal()).token, sign_in_id, 1)
        is None
    )
    assert store.authenticate(other.bearer.reveal()).username == "ann"
    assert standing(sign_ins, other) is Standing.GOOD
    *_, row = rows(engine, audit)
    [ann] = store.list_users()
    assert (row.actor, row.action, row.target) == ("gateway", "sign_in.end", ann.id)
    assert row.before == {"id": sign_in_id, "kind": "device", "client": "claude-code/2.1.197"}
    assert row.after == {"reason": "reuse"}


@pytest.mark.parametrize("change", ["suspend_user", "delete_user"])
def test_nothing_of_somebody_who_is_shut_out_is_good(change, sign_in, sign_ins, store):
    pair = sign_in()
    getattr(store, change)("ann")
    with pytest.raises(TokenRejectedError):
        store.authenticate(pair.bearer.reveal())
    presented = sign_ins.present(pair.refresh_token.reveal())
    assert presented.standing is Standing.ENDED
    assert sign_ins.rotate(presented.token, presented.sign_in.id, UNUSED_S) is None


def test_without_the_providers_word_a_sign_in_ends_when_it_was_said_to(
    sign_in, sign_ins, refresh, clock
):
    first = sign_in(lifetime=5400.0)
    clock.advance(3600)
    second = refresh(first, lifetime=None)
    assert second.expires_in == 1800
    clock.advance(1800)
    assert standing(sign_ins, second) is Standing.ENDED


def test_a_sign_in_that_is_used_goes_on_and_one_that_is_not_ends(sign_in, sign_ins, refresh, clock):
    pair = sign_in()
    clock.advance(UNUSED_S - 1)
    pair = refresh(pair)
    clock.advance(UNUSED_S - 1)
    assert standing(sign_ins, pair) is Standing.GOOD
    clock.advance(1)
    assert standing(sign_ins, pair) is Standing.ENDED


def test_what_is_no_refresh_token_is_unknown(sign_in, sign_ins):
    text = sign_in().refresh_token.reveal()
    for changed in (text.upper(), text[:-1], text[:-1] + "-", text + "a", ""):
        assert sign_ins.present(changed) is None
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert sign_ins.present(wrong) is None
    assert sign_ins.present(f"air_{'0' * 10}_{'0' * 43}") is None


def test_a_browser_is_signed_in_for_its_time(sign_ins, identity, store, clock, engine):
    (ann,) = store.list_users()
    sign_in_id = sign_ins.open_browser(ann.id, identity, 60.0)
    found = sign_ins.browser(sign_in_id)
    assert (found.user_id, found.username, found.identity) == (ann.id, "ann", identity)
    store.suspend_user("ann")
    assert sign_ins.browser(sign_in_id) is None
    store.resume_user("ann")
    clock.advance(60)
    assert sign_ins.browser(sign_in_id) is None
    assert sign_ins.browser("nobody") is None


def test_a_device_is_no_browser(engine, sign_in, sign_ins):
    sign_in()
    (row,) = rows(engine, sign_ins_table)
    assert row.kind == Kind.DEVICE
    assert sign_ins.browser(row.id) is None


def test_signing_out_ends_all(engine, sign_in, sign_ins, identity, store):
    pairs = [sign_in(), sign_in()]
    (ann,) = store.list_users()
    browser = sign_ins.open_browser(ann.id, identity, 60.0)
    assert sign_ins.sign_out("ann", actor="root (uid 0)") == 3
    assert sign_ins.sign_out("ann", actor="root (uid 0)") == 0
    for pair in pairs:
        with pytest.raises(TokenRejectedError):
            store.authenticate(pair.bearer.reveal())
        assert standing(sign_ins, pair) is Standing.ENDED
    assert sign_ins.browser(browser) is None
    ends = [row for row in rows(engine, audit) if row.action == "sign_in.end"]
    assert [(row.actor, row.target, row.after) for row in ends] == [
        ("root (uid 0)", ann.id, {"reason": "signed out"})
    ] * 3
    with pytest.raises(IdentityError, match="Did you mean ann"):
        sign_ins.sign_out("anm", actor="x")


def test_what_a_person_has_at_a_provider_ends_together(sign_in, sign_ins, identity):
    pairs = [sign_in(), sign_in()]
    assert sign_ins.end_of(identity, reason="the identity provider", actor="gateway") == 2
    assert {standing(sign_ins, pair) for pair in pairs} == {Standing.ENDED}


def test_the_sign_in_of_a_token_is_found_by_its_secret(sign_in, sign_ins, store):
    pair = sign_in()
    found = sign_ins.sign_in_of(pair.bearer.reveal())
    assert found == sign_ins.sign_in_of(pair.refresh_token.reveal())
    assert found[1] == "ann"
    assert sign_ins.sign_in_of(pair.bearer.reveal()[:-1] + "é") is None
    wrong = pair.bearer.reveal()[:-2] + "zz"
    assert sign_ins.sign_in_of(wrong) is None
    _, own = store.create_token("ann", name="laptop", lifetime=None)
    assert sign_ins.sign_in_of(own.reveal()) is None


def test_the_oldest_end_for_new_ones(sign_ins, identity, store, clock):
    (ann,) = store.list_users()
    made = []
    for _ in range(MAX_OF_A_USER + 2):
        made.append(sign_ins.open_browser(ann.id, identity, 3600.0))
        clock.advance(1)
    assert [sign_ins.browser(each) is None for each in made] == [True] * 2 + [False] * MAX_OF_A_USER
