"""Store of users and tokens in the daemon's own database.

Everything here blocks: the daemon calls it off its event loop. Only the id and the SHA-256 of its
secret are stored of a token. A deleted user leaves a row behind, so that records still have a
name; the username is free again.
"""

import hmac
from collections.abc import Mapping, Set
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aibridged.clock import Clock
from aibridged.config.secret import Secret
from aibridged.identity import token_format
from aibridged.identity.base import Actor
from aibridged.identity.tables import (
    group_members,
    groups,
    mcp_credentials,
    not_deleted,
    tokens,
    transaction,
    users,
)
from aibridged.identity.users import (
    MAX_GROUPS,
    MAX_NAME,
    IdentityError,
    TokenInfo,
    User,
    UserStatus,
    check_text,
    check_user,
    no_such_user,
)

# Uses that follow the last recorded one within this time aren't recorded.
USES_ARE_TOLD_APART_S = 60

# Bound on the parameters of a statement.
_ASKED_AT_ONCE = 1000

# Stands in for the digest of an unknown token: no known secret hashes to it.
_NO_DIGEST = bytes(32)


_USER = [users.c[field] for field in User.__dataclass_fields__]
_TOKEN = [
    (users if field == "username" else tokens).c[field] for field in TokenInfo.__dataclass_fields__
]
_NOT_TAKEN_BACK = (
    tokens.c.revoked_at.is_(None),
    users.c.status == UserStatus.ACTIVE,
    not_deleted,
)
_TO_AUTHENTICATE = (
    sa.select(
        tokens.c.user_id,
        tokens.c.secret_sha256,
        tokens.c.expires_at,
        users.c.username,
        users.c.is_admin,
        users.c.email,
    )
    .join(users)
    .where(tokens.c.id == sa.bindparam("token_id"), *_NOT_TAKEN_BACK)
)
_GROUPS = (
    sa.select(groups.c.name)
    .join(group_members)
    .where(group_members.c.user_id == sa.bindparam("user_id"))
    .order_by(groups.c.name)
    .limit(MAX_GROUPS)
)
_STILL_GOOD = (
    sa.select(tokens.c.id)
    .join(users)
    .where(
        tokens.c.id.in_(sa.bindparam("token_ids", expanding=True)),
        sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > sa.bindparam("now")),
        *_NOT_TAKEN_BACK,
    )
)
_TO_RECORD_USE = (
    tokens.update()
    .where(
        tokens.c.id == sa.bindparam("token_id"),
        sa.or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= sa.bindparam("before")),
    )
    .values(last_used_at=sa.bindparam("at"))
)

MIN_PREFIX = 8
"""Characters of a token's id, at least, if it isn't the whole one."""


class TokenStore:
    """Users and tokens. Every method is one transaction and may raise StoreUnavailableError.

    Methods that take a username raise IdentityError for unknown ones. A transaction that changes
    something starts with the change: on SQLite, one that reads first can't go on to write when
    another connection has written in between.
    """

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._now = clock.wall

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
        self, username: str, *, name: str = "", email: str | None = None, is_admin: bool = False
    ) -> User:
        """Create a user, who is active from now on.

        Raises:
            IdentityError: the username is taken, or one of the texts can't be stored.
        """
        check_user(username, name, email)
        user = User(
            str(uuid4()), username, name, email, UserStatus.ACTIVE, is_admin, created_at=self._now()
        )
        with self._transaction() as connection:
            try:
                connection.execute(users.insert().values(asdict(user)))
            except IntegrityError:
                raise IdentityError(
                    f"The user {username} already exists. Choose another username, or see "
                    "`aibridged users list`."
                ) from None
        return user

    def list_users(self) -> list[User]:
        """Every user who isn't deleted, by username."""
        statement = sa.select(*_USER).where(not_deleted).order_by(users.c.username)
        with self._transaction() as connection:
            return [_as_user(row) for row in connection.execute(statement)]

    def suspend_user(self, username: str) -> User:
        """Suspend a user: their tokens are invalid until they are resumed."""
        return self._set_status(username, UserStatus.SUSPENDED)

    def resume_user(self, username: str) -> User:
        """Resume a user: their tokens are valid again."""
        return self._set_status(username, UserStatus.ACTIVE)

    def delete_user(self, username: str) -> User:
        """Revoke the user's tokens and delete the user, except for what records refer to.

        Their own tokens for MCP servers are deleted for good.
        """
        now = self._now()
        gone = {"deleted_at": now, "name": "", "email": None}
        with self._transaction() as connection:
            user = self._change_user(connection, username, gone)
            connection.execute(
                tokens.update()
                .where(tokens.c.user_id == user.id, tokens.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            connection.execute(mcp_credentials.delete().where(mcp_credentials.c.user_id == user.id))
        return user

    def create_token(
        self, username: str, *, name: str, lifetime: float | None
    ) -> tuple[TokenInfo, Secret]:
        """Create a token that is valid for `lifetime` seconds (None: until it is revoked).

        The token itself is returned this once and can't be retrieved later.
        """
        check_text("token's name", name, MAX_NAME)
        minted, now = token_format.mint(), self._now()
        expires_at = None if lifetime is None else now + timedelta(seconds=lifetime)
        info = TokenInfo(minted.id, username, name, now, expires_at, None, None)
        row = asdict(info) | {"secret_sha256": minted.digest()}
        del row["username"]
        values = [sa.literal(value, tokens.c[name].type) for name, value in row.items()]
        of_user = sa.select(users.c.id, *values).where(users.c.username == username, not_deleted)
        with self._transaction() as connection:
            inserted = tokens.insert().from_select(["user_id", *row], of_user)
            if connection.execute(inserted.returning(tokens.c.id)).first() is None:
                raise self._no_such_user(connection, username)
        return info, Secret(minted.text)

    def list_tokens(self, username: str | None = None, *, revoked: bool = False) -> list[TokenInfo]:
        """The tokens of one user, or of all, by user and age; revoked ones only on request."""
        statement = sa.select(*_TOKEN).join(users).order_by(users.c.username, tokens.c.created_at)
        if not revoked:
            statement = statement.where(tokens.c.revoked_at.is_(None))
        with self._transaction() as connection:
            if username is None:
                return [_as_token(row) for row in connection.execute(statement)]
            is_theirs = sa.and_(users.c.username == username, not_deleted)
            if connection.execute(sa.select(users.c.id).where(is_theirs)).first() is None:
                raise self._no_such_user(connection, username)
            return [_as_token(row) for row in connection.execute(statement.where(is_theirs))]

    def revoke_token(self, token_id: str) -> TokenInfo:
        """Revoke a token; one that is revoked already stays as it is.

        Of its id, the first characters are enough, at least `MIN_PREFIX`.

        Raises:
            IdentityError: there is no such token, or several begin like this.
        """
        # At once, so that those who change something else meanwhile wait for it.
        revoke = tokens.update().where(tokens.c.revoked_at.is_(None)).values(revoked_at=self._now())
        meant = tokens.c.id == token_id
        if len(token_id) >= MIN_PREFIX:
            meant = sa.func.substr(tokens.c.id, 1, len(token_id)) == token_id
        with self._transaction() as connection:
            connection.execute(revoke.where(meant))
            rows = connection.execute(sa.select(*_TOKEN).join(users).where(meant).limit(2)).all()
            if len(rows) > 1:
                raise IdentityError(
                    "Several tokens have an id that begins like this: type all of it. See "
                    "`aibridged tokens list`."
                )
        if not rows:
            # The argument may be a whole token, so it isn't repeated.
            raise IdentityError(
                "There is no token with this id. The id is the part between the underscores of a "
                "token; see `aibridged tokens list`."
            )
        return _as_token(rows[0])

    def authenticate(self, token: str) -> Actor | None:
        """The actor of a token; None if it is unknown, expired or revoked, or its user suspended.

        An unknown id takes as long as a wrong secret.
        """
        parts = token_format.parse(token)
        if parts is None:
            return None
        with self._transaction() as connection:
            row = connection.execute(_TO_AUTHENTICATE, {"token_id": parts.id}).one_or_none()
            asked = {"user_id": "" if row is None else row.user_id}
            of_groups = tuple(connection.execute(_GROUPS, asked).scalars())
        expected = _NO_DIGEST if row is None else row.secret_sha256
        if not hmac.compare_digest(parts.digest(), expected) or row is None:
            return None
        if row.expires_at is not None and row.expires_at <= self._now():
            return None
        return Actor(
            row.user_id,
            row.username,
            parts.id,
            row.is_admin,
            row.expires_at,
            row.email,
            of_groups,
        )

    def still_good(self, token_ids: Set[str]) -> set[str]:
        """Those of the tokens, by id, that are still valid."""
        ids, good = list(token_ids), set[str]()
        with self._transaction() as connection:
            for begin in range(0, len(ids), _ASKED_AT_ONCE):
                asked = {"token_ids": ids[begin : begin + _ASKED_AT_ONCE], "now": self._now()}
                good.update(connection.execute(_STILL_GOOD, asked).scalars())
        return good

    def record_uses(self, used_at: Mapping[str, datetime]) -> None:
        """Record when tokens, by id, were last used, unless the last record is about as recent."""
        pause = timedelta(seconds=USES_ARE_TOLD_APART_S)
        uses = [
            {"token_id": token_id, "at": at, "before": at - pause}
            for token_id, at in sorted(used_at.items())  # in one order, to avoid deadlocks
        ]
        if uses:
            with self._transaction() as connection:
                connection.execute(_TO_RECORD_USE, uses)

    def _set_status(self, username: str, status: UserStatus) -> User:
        with self._transaction() as connection:
            return self._change_user(connection, username, {"status": status})

    def _change_user(
        self, connection: sa.Connection, username: str, values: dict[str, Any]
    ) -> User:
        changed = users.update().where(users.c.username == username, not_deleted).values(values)
        row = connection.execute(changed.returning(*_USER)).one_or_none()
        if row is None:
            raise self._no_such_user(connection, username)
        return _as_user(row)

    def _no_such_user(self, connection: sa.Connection, username: str) -> IdentityError:
        known = connection.execute(sa.select(users.c.username).where(not_deleted)).scalars()
        return no_such_user(username, list(known))

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return transaction(self._engine)


def _as_user(row: sa.Row[Any]) -> User:
    return User(**{**row._mapping, "status": UserStatus(row.status)})


def _as_token(row: sa.Row[Any]) -> TokenInfo:
    return TokenInfo(**row._mapping)
