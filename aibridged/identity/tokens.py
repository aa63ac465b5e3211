"""Store of users and tokens in the daemon's own database.

Everything here blocks: the daemon calls it off its event loop. Only the id and the SHA-256 of its
secret are stored of a token.
"""

import hmac
from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict, replace

from aibridged.config.secret import Secret
from aibridged.core.budgets import Scope
from aibridged.identity import token_format
from aibridged.identity.base import Actor, Rejection, TokenRejectedError
from aibridged.identity.groups import groups_of
from aibridged.identity.spend_limits import drop_limits
from aibridged.identity.tables import not_deleted, tokens, users
from aibridged.identity.user_store import UserStore
from aibridged.identity.users import (
    MAX_NAME,
    IdentityError,
    TokenInfo,
    UnknownError,
    UserStatus,
    check_text,
)

# Uses that follow the last recorded one within this time aren't recorded.
USES_ARE_TOLD_APART_S = 60

# Bound on the parameters of a statement.
_ASKED_AT_ONCE = 1000

# Stands in for the digest of an unknown token: no known secret hashes to it.
_NO_DIGEST = bytes(32)

TOKEN_COLUMNS = [
    (users if field == "username" else tokens).c[field] for field in TokenInfo.__struct_fields__
]
_TO_AUTHENTICATE = (
    sa.select(
        tokens.c.user_id,
        tokens.c.secret_sha256,
        tokens.c.expires_at,
        tokens.c.revoked_at,
        users.c.username,
        users.c.is_admin,
        users.c.email,
        users.c.status,
        users.c.deleted_at,
    )
    .join(users)
    .where(tokens.c.id == sa.bindparam("token_id"))
)
_STILL_GOOD = (
    sa.select(tokens.c.id)
    .join(users)
    .where(
        tokens.c.id.in_(sa.bindparam("token_ids", expanding=True)),
        sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > sa.bindparam("now")),
        tokens.c.revoked_at.is_(None),
        users.c.status == UserStatus.ACTIVE,
        not_deleted,
    )
)


def _to_record(table: sa.Table, time: sa.Column[Any]) -> sa.Update:
    """Sets the time of a row to a later one, unless it is about as recent."""
    is_old = sa.or_(time.is_(None), time <= sa.bindparam("before"))
    row = table.update().where(table.c.id == sa.bindparam("row_id"), is_old)
    return row.values({time: sa.bindparam("at")})


_TO_RECORD_USE = _to_record(tokens, tokens.c.last_used_at)
_TO_RECORD_SEEN = _to_record(users, users.c.last_seen_at)

MIN_PREFIX = 8
"""Characters of a token's id, at least, if it isn't the whole one."""


class TokenStore(UserStore):
    """Users and their tokens. Every method is one transaction: see `UserStore`."""

    def create_token(
        self, username: str, *, name: str, lifetime: float | None, at_most: int | None = None
    ) -> tuple[TokenInfo, Secret]:
        """Create a token that is valid for `lifetime` seconds (None: until it is revoked).

        The token itself is returned this once and can't be retrieved later. With `at_most`, the
        user has no more than so many that are valid or were created within a day.

        Raises:
            IdentityError: there is no such user, the name can't be stored, or the user has too many
                tokens.
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
            owner = connection.execute(inserted.returning(tokens.c.user_id)).scalar_one_or_none()
            if owner is None:
                raise self._no_such_user(connection, username)
            if at_most is not None:
                _check_number(connection, owner, now, at_most)
            state = {"user": owner, "name": name, "expires_at": _text(expires_at)}
            self._trail.note(connection, "token.create", info.id, after=state)
        return info, Secret(minted.text)

    def list_tokens(
        self, username: str | None = None, *, revoked: bool = False, sign_ins: bool = False
    ) -> list[TokenInfo]:
        """The tokens of one user, or of all, by user and age.

        Revoked ones, and those that sign-ins issued, only on request.
        """
        statement = (
            sa.select(*TOKEN_COLUMNS).join(users).order_by(users.c.username, tokens.c.created_at)
        )
        if not revoked:
            statement = statement.where(tokens.c.revoked_at.is_(None))
        if not sign_ins:
            statement = statement.where(tokens.c.sign_in_id.is_(None))
        with self._transaction() as connection:
            if username is None:
                return [_as_token(row) for row in connection.execute(statement)]
            is_theirs = sa.and_(users.c.username == username, not_deleted)
            if connection.execute(sa.select(users.c.id).where(is_theirs)).first() is None:
                raise self._no_such_user(connection, username)
            return [_as_token(row) for row in connection.execute(statement.where(is_theirs))]

    def revoke_token(self, token_id: str, owner_id: str | None = None) -> TokenInfo:
        """Revoke a token, whose spend limits go; one that is revoked already stays as it is.

        Of its id, the first characters are enough, at least `MIN_PREFIX`. With `owner_id`, only
        tokens of this user are there.

        Raises:
            UnknownError: there is no such token.
            IdentityError: several begin like this.
        """
        now = self._now()
        with self._transaction() as connection:
            info = self._locked_token(connection, token_id, owner_id)
            if info.revoked_at is None:
                this = tokens.c.id == info.id
                connection.execute(tokens.update().where(this).values(revoked_at=now))
                drop_limits(connection, self._trail, [Scope.TOKEN], [info.id])
                self._trail.note(connection, "token.revoke", info.id)
                info = replace(info, revoked_at=now)
        return info

    def renew_token(
        self, token_id: str, lifetime: float | None, owner_id: str | None = None
    ) -> TokenInfo:
        """Let a token expire in `lifetime` seconds from now (None: never), expired or not.

        With `owner_id`, only tokens of this user are there.

        Raises:
            UnknownError: there is no such token.
            IdentityError: several begin like this, it is revoked or of a sign-in, or it doesn't
                expire before then.
        """
        now = self._now()
        expires_at = None if lifetime is None else now + timedelta(seconds=lifetime)
        with self._transaction() as connection:
            info = self._locked_token(connection, token_id, owner_id)
            _check_renewal(info, expires_at)
            this = tokens.c.id == info.id
            connection.execute(tokens.update().where(this).values(expires_at=expires_at))
            before, after = (
                {"expires_at": _text(info.expires_at)},
                {"expires_at": _text(expires_at)},
            )
            self._trail.note(connection, "token.renew", info.id, before=before, after=after)
        return replace(info, expires_at=expires_at)

    def _locked_token(
        self, connection: sa.Connection, token_id: str, owner_id: str | None
    ) -> TokenInfo:
        """The token, which nobody else changes until the end of the transaction."""
        meant = tokens.c.id == token_id
        if len(token_id) >= MIN_PREFIX:
            meant = sa.func.substr(tokens.c.id, 1, len(token_id)) == token_id
        if owner_id is not None:
            meant = sa.and_(meant, tokens.c.user_id == owner_id)
        connection.execute(tokens.update().where(meant).values(name=tokens.c.name))
        rows = connection.execute(sa.select(*TOKEN_COLUMNS).join(users).where(meant).limit(2)).all()
        if len(rows) > 1:
            raise IdentityError(
                "Several tokens have an id that begins like this: type all of it. See "
                "`aibridged tokens list --all`."
            )
        if not rows:
            # The argument may be a whole token, so it isn't repeated.
            raise UnknownError(
                "There is no token with this id. The id is the part between the underscores of a "
                "token; see `aibridged tokens list`."
            )
        return _as_token(rows[0])

    def authenticate(self, token: str) -> Actor | None:
        """The actor of a token; None if its id is unknown, or its secret wrong.

        Both take the same time, and the same statement.

        Raises:
            TokenRejectedError: the secret is right, and the token expired or revoked, or its user
                suspended.
        """
        parts = token_format.parse(token)
        if parts is None:
            return None
        with self._transaction() as connection:
            row = connection.execute(_TO_AUTHENTICATE, {"token_id": parts.id}).one_or_none()
            expected = _NO_DIGEST if row is None else row.secret_sha256
            if not hmac.compare_digest(parts.digest(), expected) or row is None:
                return None
            of_groups = groups_of(connection, row.user_id)
        actor = Actor(
            row.user_id,
            row.username,
            parts.id,
            row.is_admin,
            row.expires_at,
            row.email,
            of_groups,
        )
        if (rejection := _rejection(row, self._now())) is not None:
            raise TokenRejectedError(rejection, actor)
        return actor

    def still_good(self, token_ids: Set[str]) -> set[str]:
        """Those of the tokens, by id, that are still valid."""
        ids, good = list(token_ids), set[str]()
        with self._transaction() as connection:
            for begin in range(0, len(ids), _ASKED_AT_ONCE):
                asked = {"token_ids": ids[begin : begin + _ASKED_AT_ONCE], "now": self._now()}
                good.update(connection.execute(_STILL_GOOD, asked).scalars())
        return good

    def record_uses(
        self, used_at: Mapping[str, datetime], seen_at: Mapping[str, datetime] | None = None
    ) -> None:
        """Record when tokens were last used and users last seen, both by their ids.

        Not where the last record is about as recent.
        """
        with self._transaction() as connection:
            # Users before their tokens, as in other transactions.
            for statement, times in ((_TO_RECORD_SEEN, seen_at or {}), (_TO_RECORD_USE, used_at)):
                if rows := _rows(times):
                    connection.execute(statement, rows)


def _rows(times: Mapping[str, datetime]) -> list[dict[str, Any]]:
    pause = timedelta(seconds=USES_ARE_TOLD_APART_S)
    return [
        {"row_id": id, "at": at, "before": at - pause}
        for id, at in sorted(times.items())  # in one order, to avoid deadlocks
    ]


def _rejection(row: Any, now: datetime) -> Rejection | None:
    if row.revoked_at is not None or row.deleted_at is not None:
        return Rejection.REVOKED
    if row.status != UserStatus.ACTIVE:
        return Rejection.SUSPENDED
    if row.expires_at is not None and row.expires_at <= now:
        return Rejection.EXPIRED
    return None


def _check_renewal(info: TokenInfo, expires_at: datetime | None) -> None:
    another = f"Create another one with `aibridged tokens create --user {info.username}`."
    if info.revoked_at is not None:
        raise IdentityError(f"The token {info.id} is revoked, which can't be undone. {another}")
    if info.sign_in_id is not None:
        raise IdentityError(f"The token {info.id} is of a sign-in, which renews it. {another}")
    if info.expires_at is None:
        raise IdentityError(f"The token {info.id} never expires.")
    if expires_at is not None and expires_at <= info.expires_at:
        raise IdentityError(
            f"The token {info.id} is valid until {info.expires_at:%Y-%m-%d %H:%M:%S} UTC already: "
            "give a longer --lifetime."
        )


def _check_number(connection: sa.Connection, owner: str, now: datetime, at_most: int) -> None:
    """Check that a user has no more tokens than that, while no other transaction creates one."""
    connection.execute(users.update().where(users.c.id == owner).values(name=users.c.name))
    is_valid = sa.and_(
        tokens.c.revoked_at.is_(None),
        sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
    )
    counted = sa.or_(is_valid, tokens.c.created_at > now - timedelta(days=1))
    theirs = (tokens.c.user_id == owner, tokens.c.sign_in_id.is_(None), counted)
    if (connection.scalar(sa.select(sa.func.count()).where(*theirs)) or 0) > at_most:
        raise IdentityError(
            f"The maximum of {at_most} are valid already, or were created within a day: revoke "
            "some that are no longer used, or wait for a day."
        )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


def _as_token(row: sa.Row[Any]) -> TokenInfo:
    return TokenInfo(**row._mapping)
