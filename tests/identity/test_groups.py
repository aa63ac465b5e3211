"""Groups and their members, as administrators change them."""

import pytest
import sqlalchemy as sa

from aibridged.identity import groups as groups_module
from aibridged.identity.groups import GroupStore
from aibridged.identity.tables import audit, group_members
from aibridged.identity.users import MAX_GROUP, IdentityError


@pytest.fixture
def groups(engine, clock):
    return GroupStore(engine, clock, actor="root")


@pytest.fixture
def people(store):
    return {name: store.create_user(name) for name in ("ann", "bob", "eve")}


def members(groups, name="staff"):
    return next(group.members for group in groups.list_groups() if group.name == name)


def trail(engine):
    statement = sa.select(audit).where(audit.c.action.startswith("group.")).order_by("id")
    with engine.connect() as connection:
        return [
            (row.actor, row.action, row.target, row.before, row.after)
            for row in connection.execute(statement)
        ]


def test_a_group_is_made_listed_and_deleted(groups, people, store, engine):
    staff = groups.create("staff")
    groups.create("/Contractors, external")
    groups.add("staff", ["bob", "ann"])
    assert [(each.name, each.members) for each in groups.list_groups()] == [
        ("/Contractors, external", ()),
        ("staff", ("ann", "bob")),
    ]
    assert groups.delete("staff").id == staff.id
    assert [each.name for each in groups.list_groups()] == ["/Contractors, external"]
    assert len(store.list_users()) == 3
    ids = sorted(people[name].id for name in ("ann", "bob"))
    assert trail(engine) == [
        ("root", "group.create", "staff", None, None),
        ("root", "group.create", "/Contractors, external", None, None),
        ("root", "group.add", "staff", None, {"users": ids}),
        ("root", "group.delete", "staff", {"members": ids}, None),
    ]


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * (MAX_GROUP + 1)])
def test_a_name_that_spoils_a_table_is_refused(groups, name):
    with pytest.raises(IdentityError):
        groups.create(name)
    assert groups.list_groups() == []


def test_a_name_is_given_once(groups):
    groups.create("staff")
    with pytest.raises(IdentityError, match="already exists"):
        groups.create("staff")


def test_members_join_and_leave(groups, people, store, engine):
    groups.create("staff")
    groups.add("staff", ["ann", "bob", "ann"])
    groups.add("staff", ["ann"])
    groups.remove("staff", ["bob"])
    assert members(groups) == ("ann",)
    assert store.list_users()[0].groups == ("staff",)
    assert [row[1] for row in trail(engine)] == ["group.create", "group.add", "group.remove"]


def test_all_or_nobody(groups, people, engine):
    groups.create("staff")
    groups.add("staff", ["ann"])
    for act, said in (
        (lambda: groups.add("staff", ["bob", "evee"]), r"no user 'evee'\. Did you mean eve\?"),
        (lambda: groups.add("stuff", ["bob"]), r"no group 'stuff'\. Did you mean staff\?"),
        (lambda: groups.remove("staff", ["ann", "bob"]), "bob is not in the group 'staff'"),
        (lambda: groups.delete("stuff"), "no group 'stuff'"),
    ):
        with pytest.raises(IdentityError, match=said):
            act()
    assert members(groups) == ("ann",)
    assert len(trail(engine)) == 2


def test_who_is_in_a_group_by_signing_in_stays_once_an_administrator_adds_them(
    groups, people, engine, clock
):
    staff = groups.create("staff")
    row = {"group_id": staff.id, "user_id": people["ann"].id, "created_at": clock.wall()}
    with engine.begin() as connection:
        connection.execute(group_members.insert().values(by_sign_in=True, **row))
    groups.add("staff", ["ann"])
    with engine.connect() as connection:
        [left] = connection.execute(sa.select(group_members)).all()
    assert left.by_sign_in is False


def test_the_groups_of_a_user_are_bounded(groups, people, monkeypatch):
    monkeypatch.setattr(groups_module, "MAX_GROUPS", 2)
    for name in ("a", "b", "c"):
        groups.create(name)
    groups.add("a", ["ann"])
    groups.add("b", ["ann"])
    with pytest.raises(IdentityError, match="in 2 groups already"):
        groups.add("c", ["ann"])
