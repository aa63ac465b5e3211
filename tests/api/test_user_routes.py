"""Users by the HTTP API: what admins see and change, and what that leaves in the audit log."""

import re

import pytest
import sqlalchemy as sa

from aibridged.api.people import A_SECOND, MAX_WORDS
from aibridged.config.options import Settings
from aibridged.core.budgets import user_subject
from aibridged.identity.base import TokenRejectedError
from aibridged.identity.grants import Identity
from aibridged.identity.groups import GroupStore
from aibridged.identity.sign_ins import SignInStore
from aibridged.records.schema import spend


def names(page):
    return [user["username"] for user in page["results"]]


async def test_a_user_is_created_changed_read_and_deleted(ask, database, clock):
    GroupStore(database.engine, clock).create("staff")
    made = await ask("POST", "/users", {"username": "ann", "email": "a@b.c", "groups": ["staff"]})
    assert (made["username"], made["groups"], made["status"]) == ("ann", ["staff"], "active")
    edit = {"username": "anna", "email": "", "groups": [], "is_admin": True}
    changed = await ask("PATCH", "/users/ann", edit)
    assert changed == {**made, "username": "anna", "email": None, "groups": [], "is_admin": True}
    for name in ("anna", made["id"]):
        found = await ask("GET", f"/users/{name}")
        assert found == {**changed, "sign_ins": [], "spent_this_month": "0"}
    await ask("DELETE", f"/users/{made['id']}")
    assert (await ask.refusal("GET", "/users/anna"))[0] == 404
    told = await ask.audit("user")
    assert told[:3] == [
        ("root", f"user.{what}", made["id"]) for what in ("delete", "edit", "create")
    ]


async def test_users_are_found_page_by_page(ask, database, clock):
    groups = GroupStore(database.engine, clock)
    groups.create("ops")
    for name in ("bob", "ann", "cat"):
        ask.person(name, name=name.title(), email=f"{name}@example.com", groups=["ops"])
    ask.store.suspend_user("bob")
    first = await ask("GET", "/users", limit="2")
    assert (names(first), first["count"], first["more"]) == (["ann", "bob"], 4, True)
    last = await ask("GET", "/users", limit="2", after_id=first["results"][-1]["id"])
    assert (names(last), last["count"], last["more"]) == (["cat", "root"], 4, False)
    assert names(await ask("GET", "/users", q="EXAMPLE.com", group="ops")) == ["ann", "bob", "cat"]
    assert names(await ask("GET", "/users", q="%")) == []
    assert names(await ask("GET", "/users", status="suspended")) == ["bob"]
    assert names(await ask("GET", "/users", group="none")) == []
    ask.store.delete_user("bob")
    behind = await ask("GET", "/users", after_id=first["results"][-1]["id"])
    assert names(behind) == ["cat", "root"]
    left = await ask("GET", "/users")
    assert (names(left), left["count"]) == (["ann", "cat", "root"], 3)


async def test_what_a_list_is_asked_has_to_be_right(ask):
    for parameters in ({"status": "x"}, {"after_id": "x"}, {"q": "x" * (MAX_WORDS + 1)}):
        assert (await ask.refusal("GET", "/users", **parameters))[0] == 400
    assert names(await ask("GET", "/users", q="\0")) == []
    assert (await ask.refusal("GET", "/users/%00"))[0] == 404


async def test_what_a_user_spent_this_month_is_shown(ask, database, clock):
    subject = user_subject(ask.root.id)
    row = {"subject": subject, "day": clock.wall().date(), "reserved_nanos": 5}
    with database.engine.begin() as connection:
        connection.execute(sa.insert(spend).values(**row, spent_nanos=1_500_000_000))
    assert (await ask("GET", "/users"))["results"][0]["spent_this_month"] == "1.5"
    assert (await ask("GET", "/users/root"))["spent_this_month"] == "1.5"


async def test_a_suspension_counts_at_once_and_is_undone(ask):
    ask.person("ann")
    secret, _ = await ask.token("ann")
    assert (await ask("POST", "/users/ann/suspend"))["status"] == "suspended"
    with pytest.raises(TokenRejectedError):
        await ask.cache.authenticate(secret)
    assert (await ask("POST", "/users/ann/resume"))["status"] == "active"
    assert (await ask.cache.authenticate(secret)).username == "ann"


async def test_a_new_role_and_groups_count_at_once(ask, database, clock):
    GroupStore(database.engine, clock).create("ops")
    ask.person("ann")
    secret, _ = await ask.token("ann")
    await ask("PATCH", "/users/ann", {"is_admin": True, "groups": ["ops"]})
    actor = await ask.cache.authenticate(secret)
    assert (actor.is_admin, actor.groups) == (True, ("ops",))


async def test_admins_dont_lock_themselves_out(ask):
    ask.person("eve", is_admin=True)
    for method, path, body in (
        ("POST", "/users/root/suspend", None),
        ("DELETE", f"/users/{ask.root.id}", None),
        ("PATCH", "/users/root", {"is_admin": False}),
    ):
        status, said = await ask.refusal(method, path, body)
        assert (status, "yourself" in said) == (400, True)
    assert (await ask("PATCH", "/users/eve", {"is_admin": False}))["is_admin"] is False
    assert (await ask("PATCH", "/users/root", {"name": "Root"}))["is_admin"] is True


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/users", {"username": "Root"}, 400, "valid username, such as|lower-case"),
        ("POST", "/users", {"username": "root"}, 400, "already exists"),
        ("POST", "/users", {"username": "ann", "groups": ["none"]}, 400, "no group 'none'"),
        ("POST", "/users", {"username": "ann", "admin": True}, 400, "unknown field `admin`"),
        ("POST", "/users", {"username": "ann", "groups": ["x"] * 1001}, 400, "length <= 1000"),
        ("PATCH", "/users/root", {"name": "two\nlines"}, 400, "one line"),
        ("PATCH", "/users/nobody", {"name": "x"}, 404, "no such user"),
        ("DELETE", "/users/nobody", None, 404, "no such user"),
        ("POST", "/users/nobody/sign-out", None, 404, "no such user"),
    ],
)
async def test_what_is_wrong_is_told(ask, method, path, body, status, said):
    found = await ask.refusal(method, path, body)
    assert found[0] == status
    assert re.search(said, found[1]), found
    assert names(await ask("GET", "/users")) == ["root"]


async def test_changes_of_a_caller_are_limited(ask):
    for _ in range(A_SECOND):
        await ask("POST", "/users/root/sign-out")
    assert (await ask.refusal("POST", "/users/root/sign-out"))[0] == 429


@pytest.mark.parametrize("auth", ["none", "coder"])
async def test_without_users_of_its_own_the_gateway_says_so(ask, auth):
    ask.configured.settings = Settings(auth=auth)
    for method, path, body in (
        ("GET", "/users", None),
        ("POST", "/users", {"username": "ann"}),
        ("GET", "/users/root", None),
        ("GET", "/users/root/tokens", None),
        ("GET", "/groups", None),
        ("POST", "/groups", {"name": "ops"}),
        ("GET", "/me/tokens", None),
        ("POST", "/me/tokens", {}),
    ):
        status, said = await ask.refusal(method, path, body)
        assert (status, f"--aibridge-auth {auth}" in said) == (404, True)


async def test_all_of_it_is_for_admins(ask):
    ask.actor = ask.person("ann")
    for method, path, body in (
        ("GET", "/users", None),
        ("POST", "/users", {"username": "bob"}),
        ("GET", "/users/ann", None),
        ("PATCH", "/users/ann", {"is_admin": True}),
        ("DELETE", "/users/root", None),
        ("POST", "/users/ann/suspend", None),
        ("POST", "/users/ann/resume", None),
        ("POST", "/users/ann/sign-out", None),
        ("GET", "/users/ann/tokens", None),
        ("POST", "/users/ann/tokens", {}),
        ("POST", "/tokens/x/renew", {}),
        ("DELETE", "/tokens/x", None),
        ("GET", "/groups", None),
        ("POST", "/groups", {"name": "ops"}),
        ("GET", "/groups/ops", None),
        ("DELETE", "/groups/ops", None),
        ("POST", "/groups/ops/add", {"users": ["ann"]}),
        ("POST", "/groups/ops/remove", {"users": ["ann"]}),
        ("GET", "/policies", None),
        ("GET", "/policies/explain", None),
    ):
        assert (await ask.refusal(method, path, body))[0] == 403, path


async def test_sign_ins_are_shown_until_the_user_is_signed_out(ask, database, clock):
    ann = ask.person("ann")
    identity = Identity("https://id.example.com", "a-1")
    store = SignInStore(database.engine, clock, bearer_ttl=3600.0)
    first = store.open_browser(ann.id, identity, 60.0)
    clock.advance(1)
    second = store.open_browser(ann.id, identity, 3600.0)
    found = (await ask("GET", "/users/ann"))["sign_ins"]
    assert [(each["id"], each["kind"]) for each in found] == [
        (second, "browser"),
        (first, "browser"),
    ]
    clock.advance(60)
    assert [each["id"] for each in (await ask("GET", "/users/ann"))["sign_ins"]] == [second]
    ended = await ask("POST", "/users/ann/sign-out")
    assert ended == {"username": "ann", "ended": 2}
    assert (await ask("GET", "/users/ann"))["sign_ins"] == []
    assert store.browser(second) is None
    assert await ask.audit("sign_in") == [("root", "sign_in.end", ann.id)] * 2
