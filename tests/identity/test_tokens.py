import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from aibridged.identity import tokens as tokens_module
from aibridged.identity.base import Actor, AuthUnavailableError, Rejection, TokenRejectedError
from aibridged.identity.indexes import USERNAME
from aibridged.identity.tables import StoreUnavailableError, metadata, users
from aibridged.identity.tables import tokens as tokens_table
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import IdentityError, UserStatus

DAY = 86400


@pytest.fixture
def alice(store):
    return store.create_user("alice", name="Alice", email="alice@example.com")


@pytest.fixture
def token(store, alice):
    """A token of Alice's that doesn't expire: what is known of it, and its text."""
    info, secret = store.create_token("alice", name="laptop", lifetime=None)
    return info, secret.reveal()


def test_a_new_user_is_active_and_found_again(store, alice, clock):
    UUID(alice.id)
    assert store.list_users() == [alice]
    assert (alice.status, alice.is_admin, alice.created_at) == ("active", False, clock.wall())


def test_users_are_listed_by_name(store):
    for username in ("zoe", "alice", "mallory"):
        store.create_user(username, is_admin=username == "zoe")
    assert [user.username for user in store.list_users()] == ["alice", "mallory", "zoe"]
    assert [user.is_admin for user in store.list_users()] == [False, False, True]


def test_a_username_is_given_once(store, alice):
    with pytest.raises(IdentityError, match="user alice already exists"):
        store.create_user("alice")
    assert store.list_users() == [alice]


def test_a_name_that_spoils_a_table_is_refused_everywhere(store, alice):
    with pytest.raises(IdentityError):
        store.create_user("Bob")
    with pytest.raises(IdentityError):
        store.create_token("alice", name="two\nlines", lifetime=None)


def test_the_reasons_of_a_rejection_have_an_order(store, alice, clock):
    info, secret = store.create_token("alice", name="", lifetime=DAY)
    clock.advance(DAY)
    assert rejection(store, secret.reveal()) is Rejection.EXPIRED
    store.suspend_user("alice")
    assert rejection(store, secret.reveal()) is Rejection.SUSPENDED
    store.revoke_token(info.id)
    assert rejection(store, secret.reveal()) is Rejection.REVOKED


def test_a_wrong_secret_learns_nothing_of_a_token_that_is_no_longer_valid(store, engine, token):
    info, text = token
    wrong, unknown = text[:15] + "x" * 43, text.replace(info.id, info.id[::-1])
    store.revoke_token(info.id)
    asked = []
    sa.event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    for each in (wrong, unknown):
        assert store.authenticate(each) is None
    half = len(asked) // 2
    assert asked[:half] == asked[half:], "the same statements tell the time"
    assert sum("aibridged_tokens" in each for each in asked) == 2


def test_a_token_is_renewed_from_now_on_expired_or_not(store, alice, clock):
    info, secret = store.create_token("alice", name="", lifetime=DAY)
    clock.advance(DAY / 2)
    renewed = store.renew_token(info.id[:8], DAY)
    assert renewed.expires_at == clock.wall() + timedelta(days=1)
    assert store.list_tokens() == [renewed]
    clock.advance(2 * DAY)
    assert rejection(store, secret.reveal()) is Rejection.EXPIRED
    store.renew_token(info.id, DAY)
    assert store.authenticate(secret.reveal()) is not None
    assert store.renew_token(info.id, None).expires_at is None


def test_what_cannot_be_renewed_says_why_and_stays(store, engine, alice, clock):
    def of(lifetime):
        return store.create_token("alice", name="", lifetime=lifetime)[0].id

    revoked, endless, long, of_sign_in = of(DAY), of(None), of(2 * DAY), of(DAY)
    store.revoke_token(revoked)
    with engine.begin() as connection:
        this = tokens_table.c.id == of_sign_in
        connection.execute(tokens_table.update().where(this).values(sign_in_id="0123456789"))
    before = store.list_tokens(revoked=True, sign_ins=True)
    for id, said in (
        (revoked, "is revoked, which can't be undone"),
        (endless, "never expires"),
        (long, "is valid until 2026-01-03 00:00:00 UTC already"),
        (of_sign_in, "is of a sign-in"),
        ("0123456780", "There is no token with this id"),
    ):
        with pytest.raises(IdentityError, match=said):
            store.renew_token(id, DAY)
    assert store.list_tokens(revoked=True, sign_ins=True) == before
    assert of_sign_in not in [info.id for info in store.list_tokens(revoked=True)]


def test_of_many_tokens_the_good_ones_are_told_at_once(store, clock):
    made = {}
    for username in ("ann", "bob", "dan", "eve"):
        store.create_user(username)
        made[username] = store.create_token(username, name="", lifetime=None)[0].id
    expired = store.create_token("ann", name="", lifetime=DAY)[0].id
    asked = {*made.values(), expired, "0123456789"}
    assert store.still_good(asked) == {*made.values(), expired}
    store.revoke_token(made["bob"])
    store.delete_user("dan")
    store.suspend_user("eve")
    clock.advance(DAY)
    assert store.still_good(asked) == {made["ann"]}
    assert store.still_good({f"{number:010}" for number in range(10_000)}) == set()


def test_a_store_is_empty_until_its_first_user(store):
    assert store.is_empty()
    store.create_user("alice")
    assert not store.is_empty()
    store.delete_user("alice")
    assert not store.is_empty()


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.suspend_user("alicce"),
        lambda store: store.resume_user("alicce"),
        lambda store: store.delete_user("alicce"),
        lambda store: store.list_tokens("alicce"),
        lambda store: store.create_token("alicce", name="", lifetime=None),
    ],
)
def test_an_unknown_user_is_answered_with_the_nearest(store, alice, act):
    with pytest.raises(IdentityError, match=r"no user 'alicce'\. Did you mean alice\?"):
        act(store)


def rejection(store, text):
    """Why a token is refused whose secret is right, and whose it is said to be."""
    with pytest.raises(TokenRejectedError) as caught:
        store.authenticate(text)
    assert caught.value.actor.username == "alice"
    assert caught.value.actor.api_key_id == text.split("_")[1]
    assert text[15:] not in repr(vars(caught.value))
    return caught.value.rejection


def test_a_token_authenticates_its_user(store, alice, token):
    info, text = token
    assert text.startswith(f"aib_{info.id}_")
    actor = store.authenticate(text)
    assert actor == Actor(alice.id, "alice", info.id, is_admin=False, email=alice.email)


def test_an_admins_actor_is_an_admin(store):
    store.create_user("root", is_admin=True)
    _, secret = store.create_token("root", name="", lifetime=None)
    assert store.authenticate(secret.reveal()).is_admin is True


def test_a_wrong_secret_an_unknown_id_and_nonsense_are_nobodys(store, token):
    info, text = token
    wrong_secret = text[:-1] + ("a" if text[-1] != "a" else "b")
    unknown_id = text.replace(info.id, info.id[::-1])
    assert unknown_id != text
    for wrong in (wrong_secret, unknown_id, "", "nonsense", text + "x"):
        assert store.authenticate(wrong) is None


def test_an_unknown_id_costs_what_a_wrong_secret_costs(store, token, monkeypatch):
    """The same statement and one constant-time comparison of the same length, for both."""
    compared = []
    real = tokens_module.hmac.compare_digest
    monkeypatch.setattr(
        tokens_module.hmac,
        "compare_digest",
        lambda a, b: compared.append((len(a), len(b))) or real(a, b),
    )
    info, text = token
    assert store.authenticate(text[:-1] + "!") is None
    assert compared == []
    assert store.authenticate(text.replace(info.id, info.id[::-1])) is None
    assert store.authenticate(text.replace(text[-43:], "x" * 43)) is None
    assert compared == [(32, 32), (32, 32)]


def test_a_token_expires_when_its_lifetime_is_over(store, alice, clock):
    info, secret = store.create_token("alice", name="", lifetime=30 * DAY)
    assert info.expires_at == clock.wall() + timedelta(days=30)
    clock.advance(30 * DAY - 1)
    assert store.authenticate(secret.reveal()) is not None
    clock.advance(1)
    assert rejection(store, secret.reveal()) is Rejection.EXPIRED


def test_a_revoked_token_stays_revoked(store, token, clock):
    info, text = token
    first = store.revoke_token(info.id)
    assert first.revoked_at == clock.wall()
    assert rejection(store, text) is Rejection.REVOKED
    clock.advance(10)
    assert store.revoke_token(info.id) == first


def test_a_token_is_revoked_by_how_its_id_begins(store, token):
    id = token[0].id
    for text in (id[:7], id[:8] + "-", id[:8].swapcase() + "-", ""):
        with pytest.raises(IdentityError, match="There is no token"):
            store.revoke_token(text)
    assert store.revoke_token(id[:8]).id == id


def test_what_several_tokens_begin_with_revokes_none(store, alice, engine):
    for number in range(2):
        info, _ = store.create_token("alice", name="", lifetime=None)
        with engine.begin() as connection:
            renamed = tokens_table.update().where(tokens_table.c.id == info.id)
            connection.execute(renamed.values(id=f"abcdefgh{number:02}"))
    with pytest.raises(IdentityError, match="Several tokens"):
        store.revoke_token("abcdefgh")
    assert len(store.list_tokens()) == 2


def test_revoking_one_token_leaves_the_others(store, alice, token):
    _, other = store.create_token("alice", name="ci", lifetime=None)
    store.revoke_token(token[0].id)
    assert store.authenticate(other.reveal()) is not None


def test_an_unknown_token_is_not_repeated(store, token):
    with pytest.raises(IdentityError) as caught:
        store.revoke_token(token[1])
    assert token[1] not in str(caught.value)
    assert "`aibridged tokens list`" in str(caught.value)
    assert store.authenticate(token[1]) is not None


def test_a_suspended_users_tokens_are_worthless_until_they_are_resumed(store, token):
    _, text = token
    assert store.suspend_user("alice").status is UserStatus.SUSPENDED
    assert rejection(store, text) is Rejection.SUSPENDED
    assert [user.status for user in store.list_users()] == [UserStatus.SUSPENDED]
    assert store.resume_user("alice").status is UserStatus.ACTIVE
    assert store.authenticate(text) is not None


def test_a_deleted_user_is_forgotten_but_for_what_records_refer_to(store, engine, alice, token):
    assert store.delete_user("alice").id == alice.id
    assert rejection(store, token[1]) is Rejection.REVOKED
    assert store.list_users() == []
    with pytest.raises(IdentityError):
        store.delete_user("alice")
    with engine.begin() as connection:
        row = connection.execute(sa.select(users)).one()
    assert (row.id, row.username, row.name, row.email) == (alice.id, "alice", "", None)


def test_a_deleted_users_name_is_free_again(store, alice, token):
    store.delete_user("alice")
    again = store.create_user("alice")
    assert again.id != alice.id
    assert rejection(store, token[1]) is Rejection.REVOKED
    assert store.list_tokens("alice") == []
    store.delete_user("alice")
    store.create_user("alice")


def test_deleting_a_user_leaves_the_others_tokens(store, token):
    store.create_user("bob")
    _, of_bob = store.create_token("bob", name="", lifetime=None)
    store.delete_user("alice")
    assert store.authenticate(of_bob.reveal()) is not None


def test_tokens_are_listed_by_user_and_age(store, alice, clock):
    store.create_user("bob")
    made = []
    for username in ("bob", "alice", "bob"):
        made.append(store.create_token(username, name="", lifetime=None)[0])
        clock.advance(1)
    assert store.list_tokens() == [made[1], made[0], made[2]]
    assert store.list_tokens("bob") == [made[0], made[2]]
    assert store.list_tokens("alice") == [made[1]]


def test_revoked_tokens_are_listed_where_they_are_asked_for(store, token):
    revoked = store.revoke_token(token[0].id)
    assert store.list_tokens() == []
    assert store.list_tokens(revoked=True) == [revoked]
    assert store.list_tokens("alice", revoked=True) == [revoked]


def last_use(store):
    [info] = store.list_tokens()
    return info.last_used_at


def test_uses_are_noted_once_a_minute(store, token, clock):
    info, _ = token
    assert last_use(store) is None
    first = clock.wall()
    store.record_uses({info.id: first})
    assert last_use(store) == first
    clock.advance(59)
    store.record_uses({info.id: clock.wall()})
    assert last_use(store) == first
    clock.advance(1)
    store.record_uses({info.id: clock.wall()})
    assert last_use(store) == clock.wall()


def test_a_use_that_is_reported_late_does_not_hide_a_later_one(store, token, clock):
    info, _ = token
    earlier = clock.wall()
    clock.advance(600)
    store.record_uses({info.id: clock.wall()})
    store.record_uses({info.id: earlier})
    assert last_use(store) == clock.wall()


def test_uses_of_many_tokens_are_noted_together(store, alice, token, clock):
    other, _ = store.create_token("alice", name="ci", lifetime=None)
    store.record_uses({})
    store.record_uses(
        {info.id: clock.wall() for info in (token[0], other)} | {"gone": clock.wall()}
    )
    assert [info.last_used_at for info in store.list_tokens()] == [clock.wall()] * 2


def test_another_process_sees_what_one_did(engine, clock, store, token):
    other = TokenStore(engine, clock)
    assert other.authenticate(token[1]) is not None
    other.suspend_user("alice")
    assert rejection(store, token[1]) is Rejection.SUSPENDED


def test_changes_wait_for_each_other_and_all_succeed(engine, clock, store, token):
    """As with commands that are run while a daemon writes all the time."""

    def change(number):
        for _ in range(25):
            store.suspend_user("alice")
            store.resume_user("alice")
            info, _ = store.create_token("alice", name="", lifetime=None)
            store.revoke_token(info.id)
            store.create_user(f"user-{number}")
            store.delete_user(f"user-{number}")

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(change, range(3)))
    assert len(store.list_tokens("alice", revoked=True)) == 76


def everything_stored(engine):
    with engine.begin() as connection:
        return repr(
            [
                [tuple(row) for row in connection.execute(sa.select(table))]
                for table in metadata.sorted_tables
            ]
        )


def test_a_secret_is_neither_stored_nor_shown_nor_logged(store, engine, alice, caplog):
    caplog.set_level(logging.DEBUG)
    info, secret = store.create_token("alice", name="laptop", lifetime=None)
    text = secret.reveal()
    hidden = text.rpartition("_")[2]
    store.authenticate(text)
    store.authenticate(text[:-1] + "~")
    shown = [repr(info), repr(secret), str(secret), everything_stored(engine), caplog.text]
    for where in shown:
        assert hidden not in where


def test_a_database_that_fails_is_unavailable_and_its_error_says_nothing_secret(
    store, engine, token
):
    metadata.drop_all(engine)
    with pytest.raises(StoreUnavailableError) as caught:
        store.authenticate(token[1])
    assert isinstance(caught.value, AuthUnavailableError)
    trace = "".join(traceback.format_exception(caught.value))
    for secret in (token[1], token[1].rpartition("_")[2], token[0].id, "SELECT"):
        assert secret not in trace
    assert str(caught.value).startswith("The database of users and tokens failed: ")


def test_a_failed_change_leaves_nothing_half_done(store, engine, token):
    tokens_module.tokens.drop(engine)
    with pytest.raises(StoreUnavailableError):
        store.delete_user("alice")
    assert [user.username for user in store.list_users()] == ["alice"]


def test_the_store_says_where_it_is_without_a_password(clock, tmp_path):
    def place(url):
        return TokenStore(sa.create_engine(url), clock).place

    assert place(f"sqlite:///{tmp_path}/aibridged.db") == f"{tmp_path}/aibridged.db"
    url = "postgresql+psycopg://aibridged:canary@db.example.com:5432/gateway?password=canary"
    assert place(url) == "postgresql://aibridged:***@db.example.com:5432/gateway"


def test_the_migrations_make_the_same_tables(engine):
    assert USERNAME.table.metadata is metadata
    ours = set(metadata.tables)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or name in ours,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_a_migrated_database_frees_a_deleted_users_name(store):
    store.create_user("alice")
    store.delete_user("alice")
    store.create_user("alice")
    with pytest.raises(IdentityError):
        store.create_user("alice")
