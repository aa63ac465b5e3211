"""Store of users in the daemon's own database.

Everything here blocks. A deleted user leaves a row behind, so that records still have a name; the
username is free again.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from aibridged.clock import Clock
from aibridged.core.budgets import Scope
from aibridged.identity.audit import Trail, differences
from aibridged.identity.groups import assign, group_ids, groups_of, member
from aibridged.identity.spend_limits import drop_limits
from aibridged.identity.tables import (
    group_members,
    groups,
    mcp_credentials,
    not_deleted,
    sign_ins,
    tokens,
    transaction,
    users,
)
from aibridged.identity.user_csv import FaultyLinesError, Line
from aibridged.identity.users import (
    IdentityError,
    User,
    UserEdit,
    UserStatus,
    check_user,
    no_such_group,
    no_such_user,
)

_FIELDS = [name for name in User.__struct_fields__ if name != "groups"]
USER_COLUMNS = [users.c[name] for name in _FIELDS]
_EDITED = ("username", "name", "email", "is_admin", "groups")
_PLAIN = ("name", "email", "is_admin")
_TO_EDIT = (
    users.update()
    .where(users.c.id == sa.bindparam("row_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in _PLAIN})
)
_ON_RECORD = (*_EDITED, "is_robot")


class Imported(msgspec.Struct, frozen=True):
    """The usernames of a file, by what became of them."""

    created: list[str] = msgspec.field(default_factory=list)
    changed: list[str] = msgspec.field(default_factory=list)
    unchanged: list[str] = msgspec.field(default_factory=list)


class _DryRunError(Exception):
    """Undoes what was only tried."""


class UserStore:
    """Users. Every method is one transaction and may raise StoreUnavailableError.

    Methods that take a username raise IdentityError for unknown ones. A transaction that changes
    something starts with the change: on SQLite, one that reads first can't go on to write when
    another connection has written in between. Each change leaves a row in the audit log, in the
    name of `actor`, by default the user of the operating system.
    """

    def __init__(self, engine: sa.Engine, clock: Clock, actor: str | None = None) -> None:
        self._engine = engine
        self._now = clock.wall
        self._trail = Trail(clock, actor)

    @property
    def place(self) -> str:
        """Location of the database, for people; without its password."""
        url = self._engine.url
        backend = url.get_backend_name()
        if backend == "sqlite":
            return str(url.database)
        # A query may contain the password, too.
        return url.set(drivername=backend, query={}).render_as_string(hide_password=True)

    def is_empty(self) -> bool:
        """Whether there has never been a user, not even a deleted one."""
        with self._transaction() as connection:
            return connection.execute(sa.select(users.c.id).limit(1)).first() is None

    def create_user(
        self,
        username: str,
        *,
        name: str = "",
        email: str | None = None,
        is_admin: bool = False,
        is_robot: bool = False,
        groups: Sequence[str] = (),
    ) -> User:
        """Create a user, who is active from now on.

        Raises:
            IdentityError: the username is taken, one of the texts can't be stored, or there is no
                such group.
        """
        with self._transaction() as connection:
            edit = UserEdit(username, name, email, is_admin, tuple(groups))
            return self._create(connection, username, edit, is_robot=is_robot)

    def edit_user(self, username: str, edit: UserEdit) -> User:
        """Change a user.

        Raises:
            IdentityError: the new username is taken, one of the texts can't be stored, or there is
                no such group.
        """
        with self._transaction() as connection:
            return self._edit(connection, self._locked(connection, username), edit)

    def import_users(
        self, lines: Sequence[Line], *, update: bool = False, dry_run: bool = False
    ) -> Imported:
        """Create the users of a file, and with `update` change those that exist; all or nothing.

        Raises:
            FaultyLinesError: a user exists without `update`, or there is no such group.
        """
        done = Imported()
        try:
            with self._transaction() as connection:
                # A write first: see above.
                connection.execute(users.update().where(sa.false()).values(name=users.c.name))
                known = {user.username: user for user in _all(connection, lock=True)}
                ids = self._check(connection, lines, known, update=update)
                new = [line for line in lines if line.username not in known]
                self._insert(connection, new, ids)
                done.created.extend(line.username for line in new)
                old = [(known[line.username], line) for line in lines if line.username in known]
                self._update(connection, old, ids, done)
                if dry_run:
                    raise _DryRunError
        except _DryRunError:
            pass
        return done

    def list_users(self) -> list[User]:
        """Every user who isn't deleted, by username."""
        with self._transaction() as connection:
            return _all(connection)

    def suspend_user(self, username: str) -> User:
        """Suspend a user: their tokens are invalid until they are resumed."""
        return self._set_status(username, UserStatus.SUSPENDED, "user.suspend")

    def resume_user(self, username: str) -> User:
        """Resume a user: their tokens are valid again."""
        return self._set_status(username, UserStatus.ACTIVE, "user.resume")

    def delete_user(self, username: str) -> User:
        """Revoke the user's tokens and delete the user, except for what records refer to.

        Their own tokens for MCP servers and their spend limits are deleted for good, and their
        sign-ins end.
        """
        now = self._now()
        gone = {"deleted_at": now, "name": "", "email": None}
        with self._transaction() as connection:
            user = self._locked(connection, username)
            connection.execute(users.update().where(users.c.id == user.id).values(gone))
            connection.execute(
                tokens.update()
                .where(tokens.c.user_id == user.id, tokens.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            connection.execute(
                sign_ins.update()
                .where(sign_ins.c.user_id == user.id)
                .values(ended_at=sa.func.coalesce(sign_ins.c.ended_at, now))
            )
            for table in (mcp_credentials, group_members):
                connection.execute(table.delete().where(table.c.user_id == user.id))
            theirs = sa.select(tokens.c.id).where(tokens.c.user_id == user.id)
            drop_limits(connection, self._trail, [Scope.USER], [user.id])
            drop_limits(connection, self._trail, [Scope.TOKEN], theirs)
            self._trail.note(connection, "user.delete", user.id, before=_state(user))
        return replace(user, name="", email=None, groups=())

    def _create(
        self, connection: sa.Connection, username: str, edit: UserEdit, *, is_robot: bool = False
    ) -> User:
        user = self._new(username, edit, is_robot=is_robot)
        self._write(connection, users.insert(), user)
        if edit.groups:
            assign(connection, user.id, edit.groups, self._now())
            user = replace(user, groups=groups_of(connection, user.id))
        self._trail.note(connection, "user.create", user.id, after=_state(user))
        return user

    def _new(self, username: str, edit: UserEdit, *, is_robot: bool = False) -> User:
        """A user who isn't stored yet, and is in no group."""
        name, email = edit.name or "", edit.email or None
        check_user(username, name, email)
        return User(
            str(uuid4()),
            username,
            name,
            email,
            UserStatus.ACTIVE,
            bool(edit.is_admin),
            created_at=self._now(),
            is_robot=is_robot,
        )

    def _insert(
        self, connection: sa.Connection, lines: Sequence[Line], group_ids: Mapping[str, str]
    ) -> None:
        """Create many users with few statements: others wait for the end of the transaction."""
        if not lines:
            return
        made = [
            replace(self._new(line.username, line.edit), groups=tuple(line.edit.groups or ()))
            for line in lines
        ]
        rows = [{name: getattr(user, name) for name in _FIELDS} for user in made]
        connection.execute(users.insert(), rows)
        self._join(connection, made, group_ids)
        states = {user.id: (None, _state(user)) for user in made}
        self._trail.note_all(connection, "user.create", states)

    def _edit(self, connection: sa.Connection, user: User, edit: UserEdit) -> User:
        new = _edited(user, edit)
        check_user(new.username, new.name, new.email)
        self._write(connection, users.update().where(users.c.id == user.id), new)
        if edit.groups is not None:
            assign(connection, user.id, edit.groups, self._now())
            new = replace(new, groups=groups_of(connection, user.id))
        before, after = differences(_state(user), _state(new))
        if after:
            self._trail.note(connection, "user.edit", user.id, before=before, after=after)
        return new

    def _write(self, connection: sa.Connection, statement: Any, user: User) -> None:
        try:
            connection.execute(statement.values({name: getattr(user, name) for name in _FIELDS}))
        except IntegrityError:
            raise IdentityError(
                f"The user {user.username} already exists. Choose another username, or see "
                "`aibridged users list`."
            ) from None

    def _check(
        self,
        connection: sa.Connection,
        lines: Sequence[Line],
        known: Collection[str],
        *,
        update: bool,
    ) -> dict[str, str]:
        """The ids of all groups; raises FaultyLinesError for what the database refuses."""
        there = group_ids(connection)
        faults = [
            (line.number, f"{line.username} exists already: --update changes existing users.")
            for line in lines
            if line.username in known and not update
        ]
        faults += [
            (line.number, str(no_such_group(name, list(there))))
            for line in lines
            for name in line.edit.groups or ()
            if name not in there
        ]
        if faults:
            raise FaultyLinesError(faults)
        return there

    def _update(
        self,
        connection: sa.Connection,
        old: Sequence[tuple[User, Line]],
        group_ids: Mapping[str, str],
        done: Imported,
    ) -> None:
        """Change many users, with few statements."""
        changes = dict[str, tuple[User, User]]()
        moved = list[User]()
        for user, line in old:
            new = _edited(user, line.edit)
            if set(new.groups) != set(user.groups):
                moved.append(new)
            else:
                new = replace(new, groups=user.groups)
            if new == user:
                done.unchanged.append(user.username)
                continue
            changes[user.id] = user, new
            done.changed.append(user.username)
        if changes:
            rows = [
                {"row_id": id, **{f"new_{name}": getattr(new, name) for name in _PLAIN}}
                for id, (_, new) in changes.items()
            ]
            connection.execute(_TO_EDIT, rows)
            self._move(connection, moved, group_ids)
            states = {id: differences(*map(_state, change)) for id, change in changes.items()}
            self._trail.note_all(connection, "user.edit", states)

    def _move(
        self, connection: sa.Connection, moved: Sequence[User], group_ids: Mapping[str, str]
    ) -> None:
        """Put users into their groups, and out of all others."""
        if not moved:
            return
        leaving = group_members.delete().where(group_members.c.user_id == sa.bindparam("row_id"))
        connection.execute(leaving, [{"row_id": user.id} for user in moved])
        self._join(connection, moved, group_ids)

    def _join(
        self, connection: sa.Connection, joining: Sequence[User], group_ids: Mapping[str, str]
    ) -> None:
        now = self._now()
        rows = [
            member(group_ids[name], user.id, now)
            for user in joining
            for name in dict.fromkeys(user.groups)
        ]
        if rows:
            connection.execute(group_members.insert(), rows)

    def _set_status(self, username: str, status: UserStatus, action: str) -> User:
        with self._transaction() as connection:
            user = self._locked(connection, username)
            if user.status is not status:
                changed = users.update().where(users.c.id == user.id).values(status=status)
                connection.execute(changed)
                before, after = {"status": user.status.value}, {"status": status.value}
                self._trail.note(connection, action, user.id, before=before, after=after)
        return replace(user, status=status)

    def _locked(self, connection: sa.Connection, username: str) -> User:
        """The user, whom nobody else changes until the end of the transaction."""
        lock = users.update().where(users.c.username == username, not_deleted)
        locked = lock.values(username=users.c.username).returning(*USER_COLUMNS)
        row = connection.execute(locked).one_or_none()
        if row is None:
            raise self._no_such_user(connection, username)
        return as_user(row, groups_of(connection, row.id))

    def _no_such_user(self, connection: sa.Connection, username: str) -> IdentityError:
        known = connection.execute(sa.select(users.c.username).where(not_deleted)).scalars()
        return no_such_user(username, list(known))

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return transaction(self._engine)


def _all(connection: sa.Connection, *, lock: bool = False) -> list[User]:
    """Every user who isn't deleted, by username; with `lock`, nobody else changes them."""
    members = sa.select(group_members.c.user_id, groups.c.name).join(groups).order_by(groups.c.name)
    of_user: defaultdict[str, list[str]] = defaultdict(list)
    for user_id, group in connection.execute(members):
        of_user[user_id].append(group)
    found = sa.select(*USER_COLUMNS).where(not_deleted).order_by(users.c.username)
    if lock:
        found = found.with_for_update()
    return [as_user(row, tuple(of_user[row.id])) for row in connection.execute(found)]


def _edited(user: User, edit: UserEdit) -> User:
    """The user after an edit."""
    given = {name: getattr(edit, name) for name in _EDITED}
    new = replace(user, **{name: value for name, value in given.items() if value is not None})
    return replace(new, email=new.email or None)


def as_user(row: sa.Row[Any], of_groups: tuple[str, ...]) -> User:
    """The user of a row of `USER_COLUMNS`."""
    return User(**{**row._mapping, "status": UserStatus(row.status), "groups": of_groups})


def _state(user: User) -> dict[str, Any]:
    """What the audit log says of a user."""
    state = {name: getattr(user, name) for name in _ON_RECORD}
    return {**state, "groups": list(user.groups)}
