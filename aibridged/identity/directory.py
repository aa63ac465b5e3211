"""Lists of users, groups, tokens and sign-ins, in pages. Blocks; reads only."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.identity.tables import (
    group_members,
    groups,
    not_deleted,
    sign_ins,
    tokens,
    users,
)
from aibridged.identity.tokens import TOKEN_COLUMNS
from aibridged.identity.user_store import USER_COLUMNS, as_user
from aibridged.identity.users import TokenInfo, UnknownError, User, UserStatus

MAX_TOKENS = 1000
"""Of a user, in a list."""
_MAX_SIGN_INS = 100


class UserFilter(NamedTuple):
    """Which users; None means any.

    `text` is part of a username, name, e-mail address or id; `group` is the name of one that they
    are in. `after_id` is the id of the last user of the page before.
    """

    text: str | None = None
    status: UserStatus | None = None
    group: str | None = None
    limit: int = 100
    after_id: str | None = None


class GroupSummary(NamedTuple):
    """A group, and how many members it has."""

    id: str
    name: str
    created_at: datetime
    members: int


class SignInInfo(NamedTuple):
    """A sign-in that goes on. `checked_at` is when the identity provider last vouched for it."""

    id: str
    kind: str
    client: str
    created_at: datetime
    checked_at: datetime
    expires_at: datetime


def page_of_users(connection: sa.Connection, wanted: UserFilter) -> list[User]:
    """A page of users who aren't deleted, by username.

    Raises:
        UnknownError: there is no user with the id of the cursor.
    """
    found = sa.select(*USER_COLUMNS).where(*_conditions(wanted))
    if wanted.after_id is not None:
        cursor = sa.select(users.c.username).where(users.c.id == wanted.after_id)
        last = connection.execute(cursor).scalar_one_or_none()
        if last is None:
            raise UnknownError("There is no user with this after_id: begin with the first page.")
        found = found.where(users.c.username > last)
    return _with_groups(
        connection, connection.execute(found.order_by(users.c.username).limit(wanted.limit)).all()
    )


def count_users(connection: sa.Connection, wanted: UserFilter) -> int:
    """The number of users on all pages."""
    counting = sa.select(sa.func.count()).select_from(users).where(*_conditions(wanted))
    return connection.scalar(counting) or 0


def find_user(connection: sa.Connection, name: str) -> User:
    """The user of this username or id.

    Raises:
        UnknownError: there is none.
    """
    this = sa.or_(users.c.username == name, users.c.id == name)
    row = connection.execute(sa.select(*USER_COLUMNS).where(this, not_deleted)).one_or_none()
    if row is None:
        raise UnknownError("There is no such user.")
    return _with_groups(connection, [row])[0]


def tokens_of_user(
    connection: sa.Connection, user_id: str, *, revoked: bool = False, sign_ins: bool = False
) -> list[TokenInfo]:
    """A user's tokens, the latest made first, at most `MAX_TOKENS`.

    Revoked ones, and those that sign-ins issued, only on request.
    """
    found = sa.select(*TOKEN_COLUMNS).join(users).where(tokens.c.user_id == user_id)
    if not revoked:
        found = found.where(tokens.c.revoked_at.is_(None))
    if not sign_ins:
        found = found.where(tokens.c.sign_in_id.is_(None))
    found = found.order_by(tokens.c.created_at.desc(), tokens.c.id).limit(MAX_TOKENS)
    return [TokenInfo(**row._mapping) for row in connection.execute(found)]


def sign_ins_of_user(
    connection: sa.Connection, user_id: str, now: datetime
) -> Sequence[SignInInfo]:
    """A user's sign-ins that go on, the latest first."""
    found = (
        sa.select(*(sign_ins.c[name] for name in SignInInfo._fields))
        .where(
            sign_ins.c.user_id == user_id,
            sign_ins.c.ended_at.is_(None),
            sign_ins.c.expires_at > now,
        )
        .order_by(sign_ins.c.created_at.desc(), sign_ins.c.id)
        .limit(_MAX_SIGN_INS)
    )
    return [SignInInfo(**row._mapping) for row in connection.execute(found)]


def page_of_groups(
    connection: sa.Connection, text: str | None, limit: int, after_id: str | None = None
) -> list[GroupSummary]:
    """A page of the groups with this text in their name, by name.

    Raises:
        UnknownError: there is no group with the id of the cursor.
    """
    found = _GROUPS
    if text is not None:
        found = found.where(_contains(groups.c.name, text))
    if after_id is not None:
        cursor = sa.select(groups.c.name).where(groups.c.id == after_id)
        last = connection.execute(cursor).scalar_one_or_none()
        if last is None:
            raise UnknownError("There is no group with this after_id: begin with the first page.")
        found = found.where(groups.c.name > last)
    return _summaries(connection, found.order_by(groups.c.name).limit(limit))


def count_groups(connection: sa.Connection, text: str | None) -> int:
    """The number of groups on all pages."""
    counting = sa.select(sa.func.count()).select_from(groups)
    if text is not None:
        counting = counting.where(_contains(groups.c.name, text))
    return connection.scalar(counting) or 0


def find_group(connection: sa.Connection, name: str) -> GroupSummary:
    """The group of this name or id; the name comes first.

    Raises:
        UnknownError: there is none.
    """
    for column in (groups.c.name, groups.c.id):
        if found := _summaries(connection, _GROUPS.where(column == name)):
            return found[0]
    raise UnknownError("There is no such group.")


_MEMBERS = (
    sa.select(sa.func.count())
    .select_from(group_members.join(users))
    .where(group_members.c.group_id == groups.c.id, not_deleted)
    .correlate(groups)
    .scalar_subquery()
)
_GROUPS = sa.select(groups.c.id, groups.c.name, groups.c.created_at, _MEMBERS.label("members"))


def _summaries(connection: sa.Connection, found: sa.Select[Any]) -> list[GroupSummary]:
    return [GroupSummary(**row._mapping) for row in connection.execute(found)]


def _conditions(wanted: UserFilter) -> Iterator[sa.ColumnElement[bool]]:
    yield not_deleted
    if wanted.text is not None:
        columns = (users.c.username, users.c.name, users.c.email, users.c.id)
        yield sa.or_(*(_contains(column, wanted.text) for column in columns))
    if wanted.status is not None:
        yield users.c.status == wanted.status
    if wanted.group is not None:
        members = sa.select(group_members.c.user_id).join(groups)
        yield users.c.id.in_(members.where(groups.c.name == wanted.group))


def _contains(column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(column).contains(text.lower(), autoescape=True)


def _with_groups(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[User]:
    members = (
        sa.select(group_members.c.user_id, groups.c.name)
        .join(groups)
        .where(group_members.c.user_id.in_([row.id for row in rows]))
        .order_by(groups.c.name)
    )
    of_user: defaultdict[str, list[str]] = defaultdict(list)
    for user_id, name in connection.execute(members):
        of_user[user_id].append(name)
    return [as_user(row, tuple(of_user[row.id])) for row in rows]
