"""People who sign in become users, and stay in step with the claims."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from aibridged.core import claims
from aibridged.core.claims import Person, SignInRefusedError
from aibridged.identity import sign_up, tables, users
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.sign_up import SignUps
from aibridged.identity.tables import audit, group_members, groups, identities
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import User, UserStatus
from tests.conftest import ManualClock

ALICE = Person("https://id.example.com", "s-1", "alice", "Alice", "alice@example.com", None, None)


@pytest.fixture
def sign_ups(engine: sa.Engine, clock: ManualClock) -> SignUps:
    return SignUps(engine, clock)


def admit(sign_ups: SignUps, person: Person, *, new: bool = True, create: bool = False) -> User:
    return sign_ups.admit(person, allow_signups=new, may_create_group=lambda _: create)


def rows(engine: sa.Engine, statement: Any) -> list[Any]:
    with engine.begin() as connection:
        return list(connection.execute(statement))


def groups_of(engine: sa.Engine, user: User) -> dict[str, bool]:
    statement = (
        sa.select(groups.c.name, group_members.c.by_sign_in)
        .join(group_members)
        .where(group_members.c.user_id == user.id)
    )
    return {row.name: row.by_sign_in for row in rows(engine, statement)}


def add_group(engine: sa.Engine, clock: ManualClock, name: str, member: User | None = None) -> None:
    with engine.begin() as connection:
        row = {"id": f"id-of-{name}", "name": name, "created_at": clock.wall()}
        connection.execute(groups.insert().values(row))
        if member is not None:
            member_row = {"group_id": row["id"], "user_id": member.id, "by_sign_in": False}
            connection.execute(
                group_members.insert().values(member_row | {"created_at": clock.wall()})
            )


def test_bounds_are_those_of_the_columns() -> None:
    assert claims.MAX_GROUP == tables.MAX_GROUP
    assert claims.MAX_SUBJECT == tables.MAX_SUBJECT
    assert (claims.MAX_GROUPS, claims.MAX_EMAIL) == (users.MAX_GROUPS, users.MAX_EMAIL)


def test_a_person_becomes_a_user_once(sign_ups: SignUps, store: TokenStore) -> None:
    user = admit(sign_ups, ALICE)
    assert (user.username, user.name, user.email) == ("alice", "Alice", "alice@example.com")
    assert (user.status, user.is_admin) == (UserStatus.ACTIVE, False)
    assert admit(sign_ups, ALICE, new=False) == user
    assert [each.id for each in store.list_users()] == [user.id]


def test_neither_a_name_nor_an_address_makes_anybody_the_same_person(
    sign_ups: SignUps, store: TokenStore
) -> None:
    by_hand = store.create_user("alice", email="alice@example.com")
    first = admit(sign_ups, ALICE)
    other_subject = admit(sign_ups, replace(ALICE, subject="s-2"))
    other_issuer = admit(sign_ups, replace(ALICE, issuer="https://evil.example.com"))
    assert len({by_hand.id, first.id, other_subject.id, other_issuer.id}) == 4
    names = [first.username, other_subject.username, other_issuer.username]
    assert names == ["alice-2", "alice-3", "alice-4"]


@pytest.mark.parametrize(
    ("claimed", "username"),
    [("Alice Liddell", "alice-liddell"), ("Ålice", "lice"), ("愛", "user"), ("a" * 40, "a" * 32)],
)
def test_a_claimed_name_becomes_a_username(claimed: str, username: str, sign_ups: SignUps) -> None:
    assert admit(sign_ups, replace(ALICE, username=claimed)).username == username


def test_usernames_never_run_out_or_over(sign_ups: SignUps, store: TokenStore) -> None:
    long = "a" * 32
    store.create_user(long)
    assert admit(sign_ups, replace(ALICE, username=long)).username == f"{'a' * 30}-2"
    for name in ("bob", *(f"bob-{number}" for number in range(2, 100))):
        store.create_user(name)
    username = admit(sign_ups, replace(ALICE, subject="s-2", username="bob")).username
    assert username.startswith("bob-")
    assert len(username) == len("bob-") + 8


def test_a_long_name_is_cut(sign_ups: SignUps) -> None:
    assert admit(sign_ups, replace(ALICE, name="n" * 200)).name == "n" * 64


def test_new_users_only_where_they_are_wanted(sign_ups: SignUps, store: TokenStore) -> None:
    with pytest.raises(SignInRefusedError, match="does not create any"):
        admit(sign_ups, ALICE, new=False)
    assert store.list_users() == []


def test_a_suspended_user_stays_out(sign_ups: SignUps, store: TokenStore) -> None:
    admit(sign_ups, ALICE)
    store.suspend_user("alice")
    with pytest.raises(SignInRefusedError, match="alice at this gateway is suspended"):
        admit(sign_ups, replace(ALICE, name="Changed"))
    store.resume_user("alice")
    assert admit(sign_ups, ALICE).username == "alice"


def test_a_deleted_user_is_somebody_new(sign_ups: SignUps, store: TokenStore) -> None:
    first = admit(sign_ups, ALICE)
    store.delete_user("alice")
    with pytest.raises(SignInRefusedError):
        admit(sign_ups, ALICE, new=False)
    second = admit(sign_ups, ALICE)
    assert second.id != first.id
    assert second.username == "alice"


def test_name_address_and_role_follow_the_claims(sign_ups: SignUps) -> None:
    user = admit(sign_ups, ALICE)
    changed = replace(ALICE, username="other", name="A. B.", email=None, is_admin=True)
    user = admit(sign_ups, changed)
    assert (user.username, user.name, user.email, user.is_admin) == ("alice", "A. B.", None, True)
    assert admit(sign_ups, replace(changed, is_admin=None)).is_admin  # nothing is said of it
    assert not admit(sign_ups, replace(changed, is_admin=False)).is_admin


def test_groups_follow_the_claim_but_for_an_administrators(
    sign_ups: SignUps, engine: sa.Engine, clock: ManualClock
) -> None:
    user = admit(sign_ups, ALICE)
    add_group(engine, clock, "devs")
    add_group(engine, clock, "ops")
    add_group(engine, clock, "by-hand", user)
    admit(sign_ups, replace(ALICE, groups=("devs", "unknown")))
    assert groups_of(engine, user) == {"by-hand": False, "devs": True}
    admit(sign_ups, replace(ALICE, groups=("by-hand", "ops")))
    assert groups_of(engine, user) == {"by-hand": False, "ops": True}
    admit(sign_ups, replace(ALICE, groups=None))
    assert groups_of(engine, user) == {"by-hand": False, "ops": True}
    admit(sign_ups, replace(ALICE, groups=()))
    assert groups_of(engine, user) == {"by-hand": False}


def test_groups_are_created_where_that_is_wanted(sign_ups: SignUps, engine: sa.Engine) -> None:
    user = admit(sign_ups, replace(ALICE, groups=("devs", "ops")), create=True)
    assert groups_of(engine, user) == {"devs": True, "ops": True}


def test_each_change_is_on_record(sign_ups: SignUps, engine: sa.Engine, clock: ManualClock) -> None:
    user = admit(sign_ups, replace(ALICE, groups=("devs",)), create=True)
    admit(sign_ups, replace(ALICE, groups=("devs",)))
    admit(sign_ups, replace(ALICE, name="New", groups=()))
    found = rows(engine, sa.select(audit).order_by(audit.c.id))
    assert {row.actor for row in found} == {"sign-in at https://id.example.com"}
    assert [(row.action, row.target) for row in found] == [
        ("group.create", "devs"),
        ("user.sign-up", user.id),
        ("user.edit", user.id),
    ]
    assert found[1].after["groups"] == ["devs"]
    assert found[2].before == {"name": "Alice", "groups": ["devs"]}
    assert found[2].after == {"name": "New", "groups": []}


def test_whom_others_overtake_each_time_is_not_refused(
    sign_ups: SignUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal would end their sign-ins."""
    monkeypatch.setattr(sign_up, "_ATTEMPTS", 0)
    with pytest.raises(AuthUnavailableError):
        admit(sign_ups, ALICE)


def test_two_sign_ins_at_once_make_one_user(
    sign_ups: SignUps, engine: sa.Engine, store: TokenStore
) -> None:
    person = replace(ALICE, groups=("devs", "ops"))
    found: list[User] = []
    together = threading.Barrier(4)

    def enter() -> None:
        together.wait(10)
        found.append(admit(sign_ups, person, create=True))

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len({user.id for user in found}) == len(store.list_users()) == 1
    assert len(rows(engine, sa.select(identities))) == 1
    assert groups_of(engine, found[0]) == {"devs": True, "ops": True}
