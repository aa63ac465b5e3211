"""Changes of users: what they are afterwards, and what the audit log has of it."""

import pytest
import sqlalchemy as sa

from aibridged.identity.groups import GroupStore
from aibridged.identity.tables import audit, group_members, sign_ins, tokens
from aibridged.identity.user_csv import FaultyLinesError, Line
from aibridged.identity.user_store import UserStore
from aibridged.identity.users import IdentityError, UserEdit


@pytest.fixture
def users(engine, clock):
    return UserStore(engine, clock, actor="root")


@pytest.fixture
def groups(engine, clock):
    store = GroupStore(engine, clock, actor="root")
    for name in ("staff", "contractors"):
        store.create(name)
    return store


def trail(engine, action="user"):
    """The rows of the audit log on users, but for when and where."""
    statement = sa.select(audit).where(audit.c.action.startswith(f"{action}.")).order_by("id")
    with engine.connect() as connection:
        return [
            (row.actor, row.action, row.target, row.before, row.after)
            for row in connection.execute(statement)
        ]


def test_a_user_has_groups_and_a_role(users, groups):
    robot = users.create_user("ci-runner", is_robot=True, groups=["staff", "contractors", "staff"])
    assert (robot.is_robot, robot.groups) == (True, ("contractors", "staff"))
    ann = users.create_user("ann")
    assert users.list_users() == [ann, robot]


def test_a_group_that_does_not_exist_makes_no_user(users, groups, engine):
    with pytest.raises(IdentityError, match=r"no group 'stuff'\. Did you mean staff\?"):
        users.create_user("ann", groups=["stuff"])
    assert users.list_users() == []
    assert trail(engine) == []


def test_only_what_is_given_is_edited_and_on_record(users, groups, engine):
    ann = users.create_user("ann", name="Ann", email="ann@example.com", groups=["staff"])
    edited = users.edit_user("ann", UserEdit(name="Anna", is_admin=True))
    assert (edited.name, edited.email, edited.is_admin) == ("Anna", "ann@example.com", True)
    assert users.list_users() == [edited]
    assert trail(engine)[1:] == [
        (
            "root",
            "user.edit",
            ann.id,
            {"name": "Ann", "is_admin": False},
            {"name": "Anna", "is_admin": True},
        )
    ]
    assert users.edit_user("ann", UserEdit(name="Anna", email="ann@example.com")) == edited
    assert len(trail(engine)) == 2, "nothing has changed"
    moved = users.edit_user("ann", UserEdit(email="", groups=("contractors",), is_admin=False))
    assert (moved.email, moved.groups, moved.is_admin) == (None, ("contractors",), False)
    assert trail(engine)[-1][3:] == (
        {"email": "ann@example.com", "is_admin": True, "groups": ["staff"]},
        {"email": None, "is_admin": False, "groups": ["contractors"]},
    )
    assert users.edit_user("ann", UserEdit(groups=())).groups == ()


def test_a_user_is_renamed_unless_the_name_is_taken(users):
    ann, bob = users.create_user("ann"), users.create_user("bob")
    with pytest.raises(IdentityError, match="user bob already exists"):
        users.edit_user("ann", UserEdit(username="bob"))
    with pytest.raises(IdentityError, match="not a valid username"):
        users.edit_user("ann", UserEdit(username="Ann B"))
    assert users.list_users() == [ann, bob]
    assert users.edit_user("ann", UserEdit(username="anna")).id == ann.id
    assert [user.username for user in users.list_users()] == ["anna", "bob"]


def test_every_change_is_on_record_once(users, engine):
    ann = users.create_user("ann")
    for change in (users.suspend_user, users.suspend_user, users.resume_user, users.delete_user):
        change("ann")
    rows = trail(engine)
    assert [row[1] for row in rows] == [
        "user.create",
        "user.suspend",
        "user.resume",
        "user.delete",
    ]
    assert {row[2] for row in rows} == {ann.id}
    assert rows[1][3:] == ({"status": "active"}, {"status": "suspended"})
    assert rows[3][3]["username"] == "ann"


def test_a_change_that_fails_is_not_on_record(users, engine):
    users.create_user("ann")
    for change in (lambda: users.create_user("ann"), lambda: users.delete_user("bob")):
        with pytest.raises(IdentityError):
            change()
    assert len(trail(engine)) == 1


def test_who_is_deleted_is_in_no_group_and_signed_out(users, groups, engine, clock):
    ann = users.create_user("ann", groups=["staff"])
    now = clock.wall()
    with engine.begin() as connection:
        connection.execute(
            sign_ins.insert().values(
                id="0123456789",
                user_id=ann.id,
                kind="agent",
                client="",
                issuer="https://id",
                subject="1",
                created_at=now,
                checked_at=now,
                expires_at=now,
            )
        )
    users.delete_user("ann")
    with engine.connect() as connection:
        assert connection.execute(sa.select(group_members)).all() == []
        [left] = connection.execute(sa.select(sign_ins)).all()
    assert left.ended_at == now


def lines(*usernames, **fields):
    return [
        Line(number, username, UserEdit(**fields)) for number, username in enumerate(usernames, 2)
    ]


def test_a_file_is_imported_whole(users, groups, engine):
    done = users.import_users(lines("ann", "bob", name="N", groups=("staff",)))
    assert (done.created, done.changed, done.unchanged) == (["ann", "bob"], [], [])
    assert [(user.username, user.groups) for user in users.list_users()] == [
        ("ann", ("staff",)),
        ("bob", ("staff",)),
    ]
    assert [row[1] for row in trail(engine)] == ["user.create"] * 2


def test_nothing_is_imported_if_one_line_is_wrong_and_each_wrong_line_is_told(
    users, groups, engine
):
    users.create_user("bob")
    users.create_user("eve")
    with pytest.raises(FaultyLinesError) as caught:
        users.import_users(
            [*lines("ann", "bob", "eve"), Line(9, "zoe", UserEdit(groups=("stuff",)))]
        )
    assert [number for number, _ in caught.value.faults] == [3, 4, 9]
    said = str(caught.value).splitlines()
    assert said[0] == "Line 3: bob exists already: --update changes existing users."
    assert said[2].startswith("Line 9: There is no group 'stuff'. Did you mean staff?")
    assert said[-1] == "Nothing was changed."
    assert [user.username for user in users.list_users()] == ["bob", "eve"]
    assert len(trail(engine)) == 2


def test_existing_users_are_updated_on_request_alone(users, groups, engine):
    users.create_user("ann", name="Ann", email="ann@example.com")
    users.create_user("bob", name="Same")
    done = users.import_users(lines("ann", "bob", "eve", name="Same"), update=True)
    assert (done.created, done.changed, done.unchanged) == (["eve"], ["ann"], ["bob"])
    assert users.list_users()[0].email == "ann@example.com", "the file has no such column"
    assert trail(engine)[-1][1:2] + trail(engine)[-1][3:] == (
        "user.edit",
        {"name": "Ann"},
        {"name": "Same"},
    )


def test_an_update_moves_users_between_groups(users, groups, engine):
    users.create_user("ann", groups=["staff", "contractors"])
    users.create_user("bob", groups=["staff"])
    done = users.import_users(lines("ann", "bob", groups=("staff", "staff")), update=True)
    assert (done.changed, done.unchanged) == (["ann"], ["bob"])
    assert [user.groups for user in users.list_users()] == [("staff",)] * 2
    users.import_users(lines("ann", groups=()), update=True)
    assert [user.groups for user in users.list_users()] == [(), ("staff",)]
    assert trail(engine)[-1][3:] == ({"groups": ["staff"]}, {"groups": []})


def test_a_dry_run_says_the_same_and_changes_nothing(users, groups, engine):
    users.create_user("ann")
    done = users.import_users(lines("ann", "bob", name="N"), update=True, dry_run=True)
    assert (done.created, done.changed) == (["bob"], ["ann"])
    [ann] = users.list_users()
    assert ann.name == ""
    assert len(trail(engine)) == 1


def test_tokens_are_on_record_without_their_secrets(store, engine):
    ann = store.create_user("ann")
    info, secret = store.create_token("ann", name="laptop", lifetime=60)
    store.renew_token(info.id, 3600)
    store.revoke_token(info.id)
    store.revoke_token(info.id)
    rows = trail(engine, "token")
    assert [(row[1], row[2]) for row in rows] == [
        ("token.create", info.id),
        ("token.renew", info.id),
        ("token.revoke", info.id),
    ]
    assert rows[0][4] == {
        "user": ann.id,
        "name": "laptop",
        "expires_at": "2026-01-01T00:01:00+00:00",
    }
    assert rows[1][3:] == (
        {"expires_at": "2026-01-01T00:01:00+00:00"},
        {"expires_at": "2026-01-01T01:00:00+00:00"},
    )
    with engine.connect() as connection:
        digest = connection.execute(sa.select(tokens.c.secret_sha256)).scalar_one()
    assert secret.reveal().split("_")[2] not in repr(rows)
    assert digest.hex() not in repr(rows)
