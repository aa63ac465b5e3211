from datetime import UTC, datetime, timedelta

import pytest

from aibridged.identity.users import (
    IdentityError,
    TokenInfo,
    check_user,
    nearest_username,
    no_such_user,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(seconds=1)


@pytest.mark.parametrize("username", ["a", "7", "bob-smith", "a-1-b", "x" * 32])
def test_usernames_that_are_taken(username):
    check_user(username, "Bob Smith, Ärztin", "bob@example.com")


@pytest.mark.parametrize(
    "username",
    ["", "Bob", "bob smith", "-bob", "bob-", "bob--smith", "bob_smith", "bob\n", "bøb", "x" * 33],
)
def test_usernames_that_are_refused(username):
    with pytest.raises(IdentityError, match="is not a valid username"):
        check_user(username, "", None)


def test_a_refused_username_is_answered_with_the_nearest():
    with pytest.raises(IdentityError, match=r"such as bob-smith\.$"):
        check_user("Bob Smith", "", None)
    with pytest.raises(IdentityError, match=r"at most 32 characters\.$"):
        check_user("???", "", None)


@pytest.mark.parametrize(
    ("name", "email"),
    [("x" * 65, None), ("two\nlines", None), ("\x1b[2J", None), ("", "x" * 255), ("", "\u202eb@c")],
)
def test_texts_that_would_spoil_a_table_are_refused(name, email):
    with pytest.raises(IdentityError, match="one line of at most"):
        check_user("bob", name, email)


@pytest.mark.parametrize(
    ("text", "username"),
    [
        ("Bob Smith", "bob-smith"),
        ("DOMAIN\\Bob", "domain-bob"),
        ("--", ""),
        ("a" * 31 + " b", "a" * 31),
        ("root", "root"),
    ],
)
def test_the_nearest_username(text, username):
    assert nearest_username(text) == username


def test_an_unknown_user_is_answered_with_the_nearest_names():
    known = ["zoe", "alise", "alice"]
    assert str(no_such_user("alicce", known)) == (
        "There is no user 'alicce'. Did you mean alice or alise?"
    )
    assert str(no_such_user("x", known)) == "There is no user 'x'. See `aibridged users list`."
    assert "`aibridged users create USERNAME`" in str(no_such_user("x", []))


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "status"),
    [
        (None, None, "active"),
        (SOON, None, "active"),
        (NOW, None, "expired"),
        (None, NOW, "revoked"),
        (NOW, NOW, "revoked"),
    ],
)
def test_a_token_is_active_expired_or_revoked(expires_at, revoked_at, status):
    token = TokenInfo("0123456789", "bob", "laptop", NOW, expires_at, None, revoked_at)
    assert token.status(NOW) == status
