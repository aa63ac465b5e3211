"""Who is in which group."""

from uuid import uuid4

import pytest

from aibridged.identity import tables
from aibridged.identity.memberships import Memberships
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import IdentityError


@pytest.fixture
def store(database, clock):
    """Ann is in two groups, Bob in one of them and Eve, who is deleted, in a third."""
    store = TokenStore(database.engine, clock)
    ids = {name: store.create_user(name).id for name in ("ann", "bob", "eve", "joe")}
    members = {"staff": ("ann", "bob"), "agency": ("ann",), "left": ("eve",), "empty": ()}
    now = clock.wall()
    with database.engine.begin() as connection:
        for name, usernames in members.items():
            group = str(uuid4())
            connection.execute(tables.groups.insert().values(id=group, name=name, created_at=now))
            for username in usernames:
                row = {"group_id": group, "user_id": ids[username], "by_sign_in": False}
                connection.execute(tables.group_members.insert().values(**row, created_at=now))
    store.delete_user("eve")
    return store


def test_the_groups_of_a_user_are_those_of_their_requests(database, store):
    found = Memberships(database.engine)
    assert found.groups_of("ann") == ("agency", "staff")
    assert found.groups_of("bob") == ("staff",)
    assert found.groups_of("joe") == ()
    token = store.create_token("ann", name="laptop", lifetime=None)[1].reveal()
    assert store.authenticate(token).groups == found.groups_of("ann")


@pytest.mark.parametrize("username", ["eve", "an"])
def test_there_is_no_such_user(database, store, username):
    with pytest.raises(IdentityError, match=f"There is no user '{username}'"):
        Memberships(database.engine).groups_of(username)


def test_groups_of_nobody_and_of_deleted_users_have_no_members(database, store):
    assert Memberships(database.engine).with_members() == {"agency", "staff"}
