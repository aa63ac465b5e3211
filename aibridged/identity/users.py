"""Value types of users and tokens (never with secrets), and username validation."""

import difflib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from aibridged.core import claims

MAX_USERNAME = 32
MAX_NAME = 64
MAX_EMAIL = claims.MAX_EMAIL
MAX_GROUP = claims.MAX_GROUP
MAX_GROUPS = claims.MAX_GROUPS
"""Of one user."""
SOON = timedelta(days=7)
_USERNAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_NOT_IN_USERNAMES = re.compile(r"[^a-z0-9]+", re.ASCII)


class UserStatus(StrEnum):
    """Whether a user's tokens are valid."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class User(msgspec.Struct, frozen=True):
    """A user who may have tokens. `last_seen_at` is exact to a minute or two.

    A robot is a user that no identity provider knows, and that can't sign in.
    """

    id: str
    username: str
    name: str
    email: str | None
    status: UserStatus
    is_admin: bool
    created_at: datetime
    is_robot: bool = False
    groups: tuple[str, ...] = ()
    last_seen_at: datetime | None = None


class UserEdit(msgspec.Struct, frozen=True):
    """New values of a user's fields; None leaves one as it is, and an empty `email` is none."""

    username: str | None = None
    name: str | None = None
    email: str | None = None
    is_admin: bool | None = None
    groups: tuple[str, ...] | None = None


class TokenInfo(msgspec.Struct, frozen=True):
    """The public part of a token. `last_used_at` is exact to a minute or two.

    `sign_in_id` is that of the sign-in that issued it, if one did.
    """

    id: str
    username: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    sign_in_id: str | None = None

    def status(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"

    def ends_soon(self, now: datetime) -> bool:
        """Whether it is active and expires within `SOON`; a sign-in has a new one by then."""
        if self.sign_in_id is not None or self.expires_at is None or self.status(now) != "active":
            return False
        return self.expires_at <= now + SOON


class IdentityError(Exception):
    """A refused change of users or tokens; the message is for people, with a remedy."""


class UnknownError(IdentityError):
    """There is no such user, group or token."""


def check_user(username: str, name: str, email: str | None) -> None:
    """Check the fields of a new user.

    Usernames are those that Coder accepts, in lower case.

    Raises:
        IdentityError: one of them is invalid.
    """
    if len(username) > MAX_USERNAME or _USERNAME.fullmatch(username) is None:
        nearest = nearest_username(username)
        hint = f", such as {nearest}" if nearest else ""
        raise IdentityError(
            f"{username!r} is not a valid username: use lower-case letters and digits, with "
            f"single hyphens between them, at most {MAX_USERNAME} characters{hint}."
        )
    check_text("name", name, MAX_NAME)
    if email is not None:
        check_text("email address", email, MAX_EMAIL)


def check_text(what: str, text: str, longest: int) -> None:
    """Check that a text is short enough and fits on a line.

    Raises:
        IdentityError: it doesn't.
    """
    if len(text) > longest or not text.isprintable():
        raise IdentityError(
            f"The {what} must be one line of at most {longest} printable characters."
        )


def check_group(name: str) -> None:
    """Check the name of a group.

    Raises:
        IdentityError: it is empty, or can't be stored.
    """
    if not name.strip():
        raise IdentityError("A group needs a name.")
    check_text("group's name", name, MAX_GROUP)


def nearest_username(text: str) -> str:
    """The text as a username: `Bob Smith` becomes `bob-smith`; "" where nothing is left."""
    return _NOT_IN_USERNAMES.sub("-", text.lower()).strip("-")[:MAX_USERNAME].rstrip("-")


def no_such_group(name: str, known: Sequence[str]) -> UnknownError:
    """The error for an unknown group, with the nearest known one."""
    close = difflib.get_close_matches(name, sorted(known), n=3)
    if close:
        remedy = f"Did you mean {' or '.join(close)}?"
    else:
        remedy = "See `aibridged groups list`, or create it with `aibridged groups create`."
    return UnknownError(f"There is no group {name!r}. {remedy}")


def no_such_user(username: str, known: Sequence[str]) -> UnknownError:
    """The error for an unknown username, with the nearest known one."""
    close = difflib.get_close_matches(username, sorted(known), n=3)
    if close:
        remedy = f"Did you mean {' or '.join(close)}?"
    elif known:
        remedy = "See `aibridged users list`."
    else:
        remedy = "Create the first one with `aibridged users create USERNAME`."
    return UnknownError(f"There is no user {username!r}. {remedy}")
