"""Whose a browser's sign-in is, and until when."""

import pytest

from aibridged.identity.browser_sign_ins import BrowserSignIns
from aibridged.identity.groups import GroupStore
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import UserEdit

LIFETIME_S = 1000.0


@pytest.fixture
def browsers(engine, clock) -> BrowserSignIns:
    return BrowserSignIns(engine, clock)


@pytest.fixture
def opened(sign_ins, store: TokenStore, identity) -> str:
    ann = next(user for user in store.list_users() if user.username == "ann")
    return sign_ins.open_browser(ann.id, identity, LIFETIME_S)


def test_its_actor_is_the_user_with_role_and_groups(
    browsers, opened, identity, store, engine, clock
):
    groups = GroupStore(engine, clock)
    groups.create("team")
    groups.add("team", ["ann"])
    store.edit_user("ann", UserEdit(is_admin=True))
    found = browsers.find(opened)
    assert found.identity == identity
    actor = found.actor
    assert (actor.username, actor.email, actor.is_admin) == ("ann", "ann@example.com", True)
    assert (actor.groups, actor.api_key_id) == (("team",), None)


def test_it_is_found_until_it_ends(browsers, opened, store, sign_ins, clock):
    assert browsers.find("another") is None
    store.suspend_user("ann")
    assert browsers.find(opened) is None


def test_it_ends_by_itself_or_is_ended(browsers, opened, sign_ins, clock, identity):
    ann = browsers.find(opened).actor
    other = sign_ins.open_browser(ann.id, identity, LIFETIME_S)
    assert sign_ins.end(other, reason="x")
    assert browsers.find(other) is None
    clock.advance(LIFETIME_S)
    assert browsers.find(opened) is None


def test_a_device_is_no_browser(browsers, sign_in, sign_ins):
    presented = sign_ins.present(sign_in().refresh_token.reveal())
    assert browsers.find(presented.sign_in.id) is None


def test_when_it_was_checked_is_kept(browsers, opened, clock):
    began = browsers.find(opened).checked_at
    clock.advance(60)
    assert browsers.find(opened).checked_at == began
    browsers.checked(opened)
    assert browsers.find(opened).checked_at == clock.wall()
