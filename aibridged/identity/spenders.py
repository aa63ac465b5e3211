"""Reads the people for whom spend limits are, with their groups. Blocks."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.identity.tables import group_members, groups, not_deleted, tokens, users

_AT_ONCE = 500  # parameters of a statement

_U = users.c
_PEOPLE = sa.select(_U.id, _U.username, _U.name, _U.email, _U.deleted_at.is_not(None))
_MEMBERS = sa.select(group_members.c.user_id, groups.c.id, groups.c.name).join(groups)


class GroupRef(NamedTuple):
    """A group of the spender's."""

    id: str
    name: str


class Spender(NamedTuple):
    """A person. One of another identity backend has an id alone, and `username` is empty."""

    id: str
    username: str = ""
    name: str = ""
    email: str | None = None
    is_deleted: bool = False
    groups: tuple[GroupRef, ...] = ()


def everybody(connection: sa.Connection) -> list[Spender]:
    """All users who aren't deleted, by username."""
    people = connection.execute(_PEOPLE.where(not_deleted).order_by(_U.username)).all()
    members = connection.execute(_MEMBERS.order_by(groups.c.name))
    return [*_with_groups(people, members)]


def spenders(connection: sa.Connection, ids: Collection[str]) -> list[Spender]:
    """These, deleted ones and those of other identity backends included; in no order."""
    found: list[Spender] = []
    asked = sorted(set(ids))
    for begin in range(0, len(asked), _AT_ONCE):
        some = asked[begin : begin + _AT_ONCE]
        people = connection.execute(_PEOPLE.where(_U.id.in_(some))).all()
        of_some = _MEMBERS.where(group_members.c.user_id.in_(some)).order_by(groups.c.name)
        found += _with_groups(people, connection.execute(of_some))
    known = {each.id for each in found}
    return found + [Spender(id) for id in asked if id not in known]


def tokens_of(connection: sa.Connection, user_id: str) -> dict[str, str]:
    """The names of a user's tokens that aren't revoked, by id."""
    statement = sa.select(tokens.c.id, tokens.c.name).where(
        tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None), tokens.c.sign_in_id.is_(None)
    )
    return {row.id: row.name for row in connection.execute(statement)}


def _with_groups(people: Collection[Any], members: Any) -> Iterator[Spender]:
    of_user: defaultdict[str, list[GroupRef]] = defaultdict(list)
    for user_id, group_id, name in members:
        of_user[user_id].append(GroupRef(group_id, name))
    for id, username, name, email, is_deleted in people:
        yield Spender(id, username, name, email, is_deleted, tuple(of_user[id]))
