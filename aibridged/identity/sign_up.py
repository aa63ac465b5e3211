"""Users of people who sign in at an identity provider: created the first time, then kept in step.

A person is found by issuer and subject, never by an email address or a name. Everything here
blocks: the daemon calls it off its event loop.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aibridged.clock import Clock
from aibridged.core.claims import Person, SignInRefusedError
from aibridged.identity import audit
from aibridged.identity.tables import (
    StoreUnavailableError,
    group_members,
    groups,
    identities,
    not_deleted,
    transaction,
    users,
)
from aibridged.identity.users import (
    MAX_NAME,
    MAX_USERNAME,
    User,
    UserStatus,
    nearest_username,
)

_USER = [
    users.c[name]
    for name in ("id", "username", "name", "email", "status", "is_admin", "created_at")
]
# Numbers that are tried before a username gets a random end.
_NUMBERS = range(2, 100)
_NAMELESS = "user"
# Two sign-ins at once may create the same user or group: the loser looks again.
_ATTEMPTS = 5


class _OvertakenError(Exception):
    """Another transaction has created the same row."""


class SignUps:
    """Users by their identities. Every method may raise StoreUnavailableError."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._now = clock.wall

    def admit(
        self, person: Person, *, allow_signups: bool, may_create_group: Callable[[str], bool]
    ) -> User:
        """The user of a person who signs in, or whom the identity provider still vouches for.

        Name, email address, groups and whether they are an administrator follow the claims, as far
        as those say; the username stays. Groups into which an administrator has put them stay, too.
        Of groups that don't exist, those that `may_create_group` are created.

        Raises:
            SignInRefusedError: they are suspended, or new and `allow_signups` is false.
        """
        for _ in range(_ATTEMPTS):
            try:
                with transaction(self._engine) as connection:
                    return self._admit(connection, person, allow_signups, may_create_group)
            except _OvertakenError:
                continue
        # No reason to end anybody's sign-ins.
        raise StoreUnavailableError("Too many people are signing in at the moment.")

    def _admit(
        self,
        connection: sa.Connection,
        person: Person,
        allow_signups: bool,
        may_create: Callable[[str], bool],
    ) -> User:
        user = self._find(connection, person)
        is_new = user is None
        if user is None:
            if not allow_signups:
                raise SignInRefusedError(
                    "You have no user at this gateway, and it does not create any "
                    "(--oidc-allow-signups). Ask an administrator."
                )
            user = self._create(connection, person)
        elif user.status is not UserStatus.ACTIVE:
            raise SignInRefusedError(
                f"Your user {user.username} at this gateway is suspended. Ask an administrator."
            )
        before = {} if is_new else self._state(connection, user)
        user = self._follow(connection, user, person, may_create)
        after = self._state(connection, user)
        changed = [name for name in after if before.get(name) != after[name]]
        if is_new or changed:
            self._note(
                connection,
                person,
                "user.sign-up" if is_new else "user.edit",
                user.id,
                before=None if is_new else {name: before[name] for name in changed},
                after=after if is_new else {name: after[name] for name in changed},
            )
        return user

    def _find(self, connection: sa.Connection, person: Person) -> User | None:
        """The user of an identity, locked until the end of the transaction."""
        its = sa.and_(identities.c.issuer == person.issuer, identities.c.subject == person.subject)
        # A write first: on SQLite, a transaction that reads first may not go on to write.
        lock = identities.update().where(its).values(user_id=identities.c.user_id)
        user_id = connection.execute(lock.returning(identities.c.user_id)).scalar_one_or_none()
        if user_id is None:
            return None
        found = sa.select(*_USER).where(users.c.id == user_id, not_deleted)
        row = connection.execute(found).one_or_none()
        if row is None:  # a user who was deleted: the person is a new one
            connection.execute(identities.delete().where(its))
            return None
        return _as_user(row)

    def _create(self, connection: sa.Connection, person: Person) -> User:
        now = self._now()
        user = User(
            str(uuid4()),
            self._free_username(connection, person.username),
            person.name[:MAX_NAME],
            person.email,
            UserStatus.ACTIVE,
            bool(person.is_admin),
            created_at=now,
        )
        row = {column.name: getattr(user, column.name) for column in _USER}
        identity = {
            "issuer": person.issuer,
            "subject": person.subject,
            "user_id": user.id,
            "created_at": now,
        }
        try:
            connection.execute(users.insert().values(row))
            connection.execute(identities.insert().values(identity))
        except IntegrityError:
            raise _OvertakenError from None
        return user

    def _free_username(self, connection: sa.Connection, wanted: str) -> str:
        """The username nearest to `wanted` that nobody has."""
        base = nearest_username(wanted) or _NAMELESS
        candidates = [base, *(_numbered(base, str(number)) for number in _NUMBERS)]
        asked = sa.select(users.c.username).where(users.c.username.in_(candidates), not_deleted)
        taken = set(connection.execute(asked).scalars())
        free = (name for name in candidates if name not in taken)
        return next(free, _numbered(base, uuid4().hex[:8]))

    def _follow(
        self,
        connection: sa.Connection,
        user: User,
        person: Person,
        may_create: Callable[[str], bool],
    ) -> User:
        values: dict[str, Any] = {"name": person.name[:MAX_NAME], "email": person.email}
        if person.is_admin is not None:
            values["is_admin"] = person.is_admin
        changed = users.update().where(users.c.id == user.id).values(values)
        row = connection.execute(changed.returning(*_USER)).one()
        if person.groups is not None:
            wanted = self._group_ids(connection, person, person.groups, may_create)
            self._join(connection, user.id, wanted)
        return _as_user(row)

    def _group_ids(
        self,
        connection: sa.Connection,
        person: Person,
        names: tuple[str, ...],
        may_create: Callable[[str], bool],
    ) -> set[str]:
        """The ids of the groups that exist, by then, of those that the claim names."""
        found = sa.select(groups.c.name, groups.c.id).where(groups.c.name.in_(names))
        ids = {row.name: row.id for row in connection.execute(found)}
        for name in names:
            if name not in ids and may_create(name):
                ids[name] = str(uuid4())
                row = {"id": ids[name], "name": name, "created_at": self._now()}
                try:
                    connection.execute(groups.insert().values(row))
                except IntegrityError:
                    raise _OvertakenError from None
                self._note(connection, person, "group.create", name)
        return set(ids.values())

    def _join(self, connection: sa.Connection, user_id: str, wanted: set[str]) -> None:
        mine = group_members.c.user_id == user_id
        asked = sa.select(group_members.c.group_id, group_members.c.by_sign_in).where(mine)
        now_in = {row.group_id: row.by_sign_in for row in connection.execute(asked)}
        left = [id for id, by_sign_in in now_in.items() if by_sign_in and id not in wanted]
        if left:
            gone = group_members.delete().where(mine, group_members.c.group_id.in_(left))
            connection.execute(gone)
        joined = [
            {"group_id": id, "user_id": user_id, "by_sign_in": True, "created_at": self._now()}
            for id in sorted(wanted - now_in.keys())
        ]
        if joined:
            try:
                connection.execute(group_members.insert(), joined)
            except IntegrityError:  # an administrator has added them, or deleted the group
                raise _OvertakenError from None

    def _state(self, connection: sa.Connection, user: User) -> dict[str, Any]:
        """What the audit log says of a user."""
        of_user = (
            sa.select(groups.c.name)
            .join(group_members)
            .where(group_members.c.user_id == user.id)
            .order_by(groups.c.name)
        )
        return {
            "username": user.username,
            "name": user.name,
            "email": user.email,
            "is_admin": user.is_admin,
            "groups": list(connection.execute(of_user).scalars()),
        }

    def _note(
        self,
        connection: sa.Connection,
        person: Person,
        action: str,
        target: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        audit.record(
            connection,
            at=self._now(),
            actor=f"sign-in at {person.issuer}",
            action=action,
            target=target,
            before=before,
            after=after,
        )


def _numbered(base: str, end: str) -> str:
    """The username with an end, and no longer than one may be."""
    return f"{base[: MAX_USERNAME - len(end) - 1].rstrip('-')}-{end}"


def _as_user(row: sa.Row[Any]) -> User:
    return User(**{**row._mapping, "status": UserStatus(row.status)})
