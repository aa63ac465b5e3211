"""Store of groups and their members. Everything here blocks.

Members are added by administrators, or by signing in with the identity provider's claim: those
`by_sign_in` follow the claim, the others stay until an administrator removes them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aibridged.clock import Clock
from aibridged.identity.audit import Trail
from aibridged.identity.spend_limits import drop_limits
from aibridged.identity.spend_scopes import OF_GROUPS
from aibridged.identity.tables import group_members, groups, not_deleted, transaction, users
from aibridged.identity.users import (
    MAX_GROUPS,
    IdentityError,
    check_group,
    no_such_group,
    no_such_user,
)


class GroupInfo(msgspec.Struct, frozen=True):
    """A group with its members' usernames, in order."""

    id: str
    name: str
    members: tuple[str, ...]
    created_at: datetime


class GroupStore:
    """Groups. Every method is one transaction and may raise StoreUnavailableError.

    `actor` is who changes them, for the audit log: by default the user of the operating system.
    """

    def __init__(self, engine: sa.Engine, clock: Clock, actor: str | None = None) -> None:
        self._engine = engine
        self._now = clock.wall
        self._trail = Trail(clock, actor)

    def create(self, name: str) -> GroupInfo:
        """Create a group without members.

        Raises:
            IdentityError: it exists, or the name can't be stored.
        """
        check_group(name)
        group = GroupInfo(str(uuid4()), name, (), self._now())
        row = {"id": group.id, "name": name, "created_at": group.created_at}
        with transaction(self._engine) as connection:
            try:
                connection.execute(groups.insert().values(row))
            except IntegrityError:
                raise IdentityError(
                    f"The group {name!r} already exists. See `aibridged groups list`."
                ) from None
            self._trail.note(connection, "group.create", name)
        return group

    def list_groups(self) -> list[GroupInfo]:
        """All groups, by name."""
        members = (
            sa.select(group_members.c.group_id, users.c.username)
            .join(users)
            .where(not_deleted)
            .order_by(users.c.username)
        )
        of_group: defaultdict[str, list[str]] = defaultdict(list)
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(groups).order_by(groups.c.name)).all()
            for group_id, username in connection.execute(members):
                of_group[group_id].append(username)
        return [
            GroupInfo(row.id, row.name, tuple(of_group[row.id]), row.created_at) for row in found
        ]

    def delete(self, name: str) -> GroupInfo:
        """Delete a group with its spend limits; its members stay users.

        Raises:
            IdentityError: there is no such group.
        """
        with transaction(self._engine) as connection:
            group = self._locked(connection, name)
            members = _members(connection, group.id)
            connection.execute(group_members.delete().where(group_members.c.group_id == group.id))
            drop_limits(connection, self._trail, OF_GROUPS, [group.id])
            connection.execute(groups.delete().where(groups.c.id == group.id))
            before = {"members": sorted(members)}
            self._trail.note(connection, "group.delete", name, before=before)
        return GroupInfo(group.id, name, tuple(sorted(members.values())), group.created_at)

    def add(self, name: str, usernames: Iterable[str]) -> None:
        """Add users to a group, where they stay until they are removed.

        Raises:
            IdentityError: there is no such group or user; nobody is added then.
        """
        with transaction(self._engine) as connection:
            group = self._locked(connection, name)
            by_name = _ids(connection, usernames)
            before = _members(connection, group.id)
            for username, user_id in by_name.items():
                if user_id not in before:
                    _check_room(connection, username, user_id)
            _remove(connection, group.id, by_name.values())
            _insert(connection, group.id, by_name.values(), self._now())
            self._note_members(connection, "group.add", name, before, group.id)

    def remove(self, name: str, usernames: Iterable[str]) -> None:
        """Remove users from a group. One who is in it by signing in comes back with the next one.

        Raises:
            IdentityError: there is no such group or user, or one of them isn't in it.
        """
        with transaction(self._engine) as connection:
            group = self._locked(connection, name)
            by_name = _ids(connection, usernames)
            before = _members(connection, group.id)
            for username, user_id in by_name.items():
                if user_id not in before:
                    raise IdentityError(f"{username} is not in the group {name!r}.")
            _remove(connection, group.id, by_name.values())
            self._note_members(connection, "group.remove", name, before, group.id)

    def _locked(self, connection: sa.Connection, name: str) -> sa.Row[tuple[str, datetime]]:
        """The group, which nobody else changes until the end of the transaction."""
        lock = groups.update().where(groups.c.name == name).values(name=groups.c.name)
        row = connection.execute(lock.returning(groups.c.id, groups.c.created_at)).one_or_none()
        if row is None:
            raise no_such_group(name, list(connection.execute(sa.select(groups.c.name)).scalars()))
        return row

    def _note_members(
        self,
        connection: sa.Connection,
        action: str,
        name: str,
        before: Mapping[str, str],
        group_id: str,
    ) -> None:
        """Note who has joined or left, by their ids; nothing if it is nobody."""
        after = _members(connection, group_id)
        if changed := sorted(before.keys() ^ after.keys()):
            self._trail.note(connection, action, name, after={"users": changed})


def groups_of(connection: sa.Connection, user_id: str) -> tuple[str, ...]:
    """The names of a user's groups, in order."""
    return tuple(connection.execute(OF_USER, {"user_id": user_id}).scalars())


OF_USER = (
    sa.select(groups.c.name)
    .join(group_members)
    .where(group_members.c.user_id == sa.bindparam("user_id"))
    .order_by(groups.c.name)
    .limit(MAX_GROUPS)
)


def assign(connection: sa.Connection, user_id: str, names: Sequence[str], now: datetime) -> None:
    """Put a user into exactly these groups, as an administrator's decision.

    Raises:
        IdentityError: there is no such group, or there are too many.
    """
    if len(names) > MAX_GROUPS:
        raise IdentityError(f"A user is in at most {MAX_GROUPS} groups.")
    known = group_ids(connection)
    for name in names:
        if name not in known:
            raise no_such_group(name, list(known))
    connection.execute(group_members.delete().where(group_members.c.user_id == user_id))
    for group_id in dict.fromkeys(known[name] for name in names):
        _insert(connection, group_id, [user_id], now)


def group_ids(connection: sa.Connection) -> dict[str, str]:
    """The ids of all groups by their names."""
    return {row.name: row.id for row in connection.execute(sa.select(groups.c.name, groups.c.id))}


def _members(connection: sa.Connection, group_id: str) -> dict[str, str]:
    """The usernames of a group's members by their ids."""
    statement = (
        sa.select(users.c.id, users.c.username)
        .join(group_members)
        .where(group_members.c.group_id == group_id)
    )
    return {row.id: row.username for row in connection.execute(statement)}


def _ids(connection: sa.Connection, usernames: Iterable[str]) -> dict[str, str]:
    """The ids of users by their usernames."""
    found = connection.execute(sa.select(users.c.username, users.c.id).where(not_deleted))
    known = {row.username: row.id for row in found}
    for username in usernames:
        if username not in known:
            raise no_such_user(username, list(known))
    return {username: known[username] for username in usernames}


def _check_room(connection: sa.Connection, username: str, user_id: str) -> None:
    if len(groups_of(connection, user_id)) >= MAX_GROUPS:
        raise IdentityError(f"{username} is in {MAX_GROUPS} groups already, which is the maximum.")


def member(group_id: str, user_id: str, now: datetime) -> dict[str, Any]:
    """The row of a member whom an administrator has added."""
    return {"group_id": group_id, "user_id": user_id, "by_sign_in": False, "created_at": now}


def _insert(
    connection: sa.Connection, group_id: str, user_ids: Collection[str], now: datetime
) -> None:
    if rows := [member(group_id, user_id, now) for user_id in user_ids]:
        connection.execute(group_members.insert(), rows)


def _remove(connection: sa.Connection, group_id: str, user_ids: Collection[str]) -> None:
    connection.execute(
        group_members.delete().where(
            group_members.c.group_id == group_id, group_members.c.user_id.in_(list(user_ids))
        )
    )
