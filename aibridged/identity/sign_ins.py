"""Store of sign-ins through an identity provider, with the tokens that they issue.

A sign-in is a device's (it has bearers and refresh tokens) or a browser's (it has neither). A
bearer is a gateway token that says which sign-in it is of, so that it is authenticated, cached and
revoked like any other. Refresh tokens rotate: the successors' secrets follow from the secret of the
one that was used, which isn't stored, and a random salt, which is. Everything here blocks: the
daemon calls it off its event loop.
"""

import hmac
from collections.abc import Callable, Set
from datetime import timedelta
from os import urandom
from typing import Any

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.config.secret import Secret
from aibridged.identity import audit, token_format
from aibridged.identity.grants import Identity
from aibridged.identity.sign_in import Kind, Pair, Presented, SignIn, Standing
from aibridged.identity.tables import (
    MAX_CLIENT,
    identities,
    not_deleted,
    refresh_tokens,
    sign_ins,
    tokens,
    transaction,
    users,
)
from aibridged.identity.token_format import REFRESH_PREFIX, TokenParts
from aibridged.identity.users import MAX_NAME, UserStatus, no_such_user

REPEATED_S = 30
"""Within this time a refresh token that was used gets the same successor: an answer may be lost."""

UNUSED_S = 90 * 24 * 3600.0
"""A sign-in that the identity provider vouches for ends when it hasn't been used for so long."""

MAX_OF_A_USER = 100
"""Sign-ins that go on at a time; the oldest end for new ones."""

CREATE, END = "sign_in.create", "sign_in.end"


_SIGN_IN = (
    sign_ins.c.id,
    sign_ins.c.user_id,
    sign_ins.c.issuer,
    sign_ins.c.subject,
    sign_ins.c.expires_at,
    sign_ins.c.ended_at,
    users.c.username,
    users.c.email,
    sa.and_(users.c.status == UserStatus.ACTIVE, not_deleted).label("is_active"),
)


class SignInStore:
    """Sign-ins and what they issue. Every method is one transaction.

    Each may raise StoreUnavailableError. `bearer_ttl` is in seconds. `on_revoked` is told the ids
    of bearers that were revoked because their sign-in was ended, in the thread that did it.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock,
        *,
        bearer_ttl: float,
        on_revoked: Callable[[Set[str]], None] | None = None,
    ) -> None:
        self._engine = engine
        self._now = clock.wall
        self._bearer_ttl = timedelta(seconds=bearer_ttl)
        self._on_revoked = on_revoked

    def open_browser(self, user_id: str, identity: Identity, lifetime: float) -> str:
        """Sign a browser in for `lifetime` seconds; returns the id of the sign-in."""
        sign_in_id = token_format.random_id()
        with transaction(self._engine) as connection:
            self.insert(connection, sign_in_id, user_id, identity, Kind.BROWSER, "", lifetime)
        return sign_in_id

    def insert(
        self,
        connection: sa.Connection,
        sign_in_id: str,
        user_id: str,
        identity: Identity,
        kind: Kind,
        client: str,
        lifetime: float,
    ) -> None:
        """Insert a sign-in, in a transaction of the caller's; the user's oldest may end."""
        now = self._now()
        connection.execute(
            sign_ins.insert().values(
                id=sign_in_id,
                user_id=user_id,
                kind=kind,
                client=client[:MAX_CLIENT],
                issuer=identity.issuer,
                subject=identity.subject,
                created_at=now,
                checked_at=now,
                expires_at=now + timedelta(seconds=lifetime),
            )
        )
        surplus = (
            sa.select(sign_ins.c.id)
            .where(sign_ins.c.user_id == user_id, sign_ins.c.ended_at.is_(None))
            .order_by(sign_ins.c.created_at.desc(), sign_ins.c.id)
            .offset(MAX_OF_A_USER)
            .limit(MAX_OF_A_USER)
        )
        self._end(connection, sign_ins.c.id.in_(connection.execute(surplus).scalars().all()))

    def issue(self, connection: sa.Connection, sign_in_id: str) -> Pair | None:
        """The first pair of a sign-in, in a transaction of the caller's; None if it has ended."""
        found = self._continue(connection, sign_in_id, None)
        if found is None:
            return None
        bearer, refresh = token_format.mint(), token_format.mint(REFRESH_PREFIX)
        return self._insert_pair(connection, found, bearer, refresh)

    def browser(self, sign_in_id: str) -> SignIn | None:
        """A browser's sign-in; None if it has ended."""
        statement = (
            sa.select(*_SIGN_IN)
            .join(users)
            .where(sign_ins.c.id == sign_in_id, sign_ins.c.kind == Kind.BROWSER)
        )
        with transaction(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        return _as_sign_in(row) if row is not None and self._goes_on(row) else None

    def present(self, refresh_token: str) -> Presented | None:
        """What a refresh token is worth; None if it is unknown, or its secret is wrong."""
        parts = token_format.parse(refresh_token, REFRESH_PREFIX)
        if parts is None:
            return None
        statement = (
            sa.select(*_SIGN_IN, refresh_tokens.c.secret_sha256, refresh_tokens.c.used_at)
            .select_from(refresh_tokens)
            .join(sign_ins)
            .join(users, users.c.id == sign_ins.c.user_id)
            .where(refresh_tokens.c.id == parts.id)
        )
        with transaction(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None or not hmac.compare_digest(parts.digest(), row.secret_sha256):
            return None
        if not self._goes_on(row):
            standing = Standing.ENDED
        elif row.used_at is None:
            standing = Standing.GOOD
        elif self._now() - row.used_at <= timedelta(seconds=REPEATED_S):
            standing = Standing.REPEATED
        else:
            standing = Standing.REUSED
        return Presented(parts, _as_sign_in(row), standing)

    def rotate(self, token: TokenParts, sign_in_id: str, lifetime: float | None) -> Pair | None:
        """Use a refresh token; returns its successors, or None if it was used or has ended.

        `lifetime` is for how many seconds the sign-in goes on from now; None: as long as before.
        """
        salt = urandom(32)
        with transaction(self._engine) as connection:
            # First, so that whatever ends the sign-in comes before it, or sees what it issues.
            found = self._continue(connection, sign_in_id, lifetime)
            used = (
                refresh_tokens.update()
                .where(refresh_tokens.c.id == token.id, refresh_tokens.c.used_at.is_(None))
                .values(used_at=self._now(), successor_salt=salt)
            )
            if found is None or not connection.execute(used).rowcount:
                return None
            bearer, refresh = _successors(token, salt)
            return self._insert_pair(connection, found, bearer, refresh)

    def repeat(self, presented: Presented) -> Pair | None:
        """The successors of a refresh token that was used; None if their bearer has ended."""
        sign_in = presented.sign_in
        salts = sa.select(refresh_tokens.c.successor_salt)
        with transaction(self._engine) as connection:
            statement = salts.where(refresh_tokens.c.id == presented.token.id)
            salt = connection.execute(statement).scalar_one_or_none()
            if salt is None:
                return None
            bearer, refresh = _successors(presented.token, salt)
            expiry = sa.select(tokens.c.expires_at).where(
                tokens.c.id == bearer.id, tokens.c.revoked_at.is_(None)
            )
            expires_at = connection.execute(expiry).scalar_one_or_none()
        left = 0 if expires_at is None else int((expires_at - self._now()).total_seconds())
        if left <= 0:
            return None
        return Pair(Secret(bearer.text), left, Secret(refresh.text), sign_in.email)

    def end(self, sign_in_id: str, *, reason: str, actor: str | None = None) -> bool:
        """End a sign-in and revoke its bearers; False if it has ended already.

        `actor` is who ends it, for the audit log; None: the user.
        """
        return self._end_with_audit(sign_ins.c.id == sign_in_id, actor, reason) > 0

    def end_of(self, identity: Identity, *, reason: str, actor: str) -> int:
        """End all sign-ins of a person through an identity provider; returns how many."""
        theirs = sa.and_(
            sign_ins.c.issuer == identity.issuer, sign_ins.c.subject == identity.subject
        )
        return self._end_with_audit(theirs, actor, reason)

    def sign_out(self, username: str, *, actor: str) -> int:
        """End all sign-ins of a user; returns how many.

        Raises:
            IdentityError: there is no such user.
        """
        with transaction(self._engine) as connection:
            found = sa.select(users.c.id).where(users.c.username == username, not_deleted)
            user_id = connection.execute(found).scalar_one_or_none()
            if user_id is None:
                known = connection.execute(sa.select(users.c.username).where(not_deleted)).scalars()
                raise no_such_user(username, list(known))
        ended = self._end_with_audit(sign_ins.c.user_id == user_id, actor, "signed out")
        with transaction(self._engine) as connection:
            connection.execute(
                identities.update()
                .where(identities.c.user_id == user_id)
                .values(encrypted_refresh_token=None)
            )
        return ended

    def sign_in_of(self, token: str) -> tuple[str, str] | None:
        """The sign-in that a bearer or a refresh token is of, with its username; None: of none."""
        if (presented := self.present(token)) is not None:
            return presented.sign_in.id, presented.sign_in.username
        parts = token_format.parse(token)
        if parts is None:
            return None
        statement = (
            sa.select(tokens.c.sign_in_id, tokens.c.secret_sha256, users.c.username)
            .join(users)
            .where(tokens.c.id == parts.id, tokens.c.sign_in_id.is_not(None))
        )
        with transaction(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None or not hmac.compare_digest(parts.digest(), row.secret_sha256):
            return None
        return row.sign_in_id, row.username

    def _continue(
        self, connection: sa.Connection, sign_in_id: str, lifetime: float | None
    ) -> sa.Row[Any] | None:
        """The sign-in, locked until the end of the transaction, if it goes on."""
        now = self._now()
        values: dict[str, object] = {"checked_at": now}
        if lifetime is not None:
            values["expires_at"] = now + timedelta(seconds=lifetime)
        changed = (
            sign_ins.update()
            .where(
                sign_ins.c.id == sign_in_id,
                sign_ins.c.ended_at.is_(None),
                sign_ins.c.expires_at > now,
            )
            .values(values)
        )
        if not connection.execute(changed).rowcount:
            return None
        statement = (
            sa.select(*_SIGN_IN, sign_ins.c.client).join(users).where(sign_ins.c.id == sign_in_id)
        )
        row = connection.execute(statement).one()
        return row if row.is_active else None

    def _insert_pair(
        self,
        connection: sa.Connection,
        sign_in: sa.Row[Any],
        bearer: TokenParts,
        refresh: TokenParts,
    ) -> Pair:
        now = self._now()
        connection.execute(
            refresh_tokens.insert().values(
                id=refresh.id,
                sign_in_id=sign_in.id,
                secret_sha256=refresh.digest(),
                created_at=now,
            )
        )
        expires_at = min(now + self._bearer_ttl, sign_in.expires_at)
        connection.execute(
            tokens.insert().values(
                id=bearer.id,
                user_id=sign_in.user_id,
                name=f"sign-in: {sign_in.client or 'unknown client'}"[:MAX_NAME],
                secret_sha256=bearer.digest(),
                created_at=now,
                expires_at=expires_at,
                sign_in_id=sign_in.id,
            )
        )
        seconds = max(1, int((expires_at - now).total_seconds()))
        return Pair(Secret(bearer.text), seconds, Secret(refresh.text), sign_in.email)

    def _end(
        self, connection: sa.Connection, which: sa.ColumnElement[bool]
    ) -> tuple[list[dict[str, Any]], set[str]]:
        """The sign-ins that end, and the ids of their bearers."""
        now = self._now()
        ending = sign_ins.update().where(which, sign_ins.c.ended_at.is_(None)).values(ended_at=now)
        ended = connection.execute(
            ending.returning(sign_ins.c.id, sign_ins.c.user_id, sign_ins.c.kind, sign_ins.c.client)
        ).mappings()
        rows = [dict(row) for row in ended]
        if not rows:
            return [], set()
        revoking = (
            tokens.update()
            .where(
                tokens.c.sign_in_id.in_([row["id"] for row in rows]),
                tokens.c.revoked_at.is_(None),
            )
            .values(revoked_at=now)
        )
        revoked = connection.execute(revoking.returning(tokens.c.id)).scalars()
        return rows, set(revoked)

    def _end_with_audit(self, which: sa.ColumnElement[bool], actor: str | None, reason: str) -> int:
        with transaction(self._engine) as connection:
            rows, revoked = self._end(connection, which)
            names: dict[str, str] = {}
            for row in rows:
                user_id = row["user_id"]
                if user_id not in names:
                    statement = sa.select(users.c.username).where(users.c.id == user_id)
                    names[user_id] = connection.execute(statement).scalar_one()
                audit.record(
                    connection,
                    at=self._now(),
                    actor=actor or names[user_id],
                    action=END,
                    target=user_id,
                    before={name: row[name] for name in ("id", "kind", "client")},
                    after={"reason": reason},
                )
        if revoked and self._on_revoked is not None:
            self._on_revoked(revoked)
        return len(rows)

    def _goes_on(self, row: sa.Row[Any]) -> bool:
        return bool(row.is_active) and row.ended_at is None and row.expires_at > self._now()


def _successors(token: TokenParts, salt: bytes) -> tuple[TokenParts, TokenParts]:
    """The bearer and the refresh token that follow from one that is used."""
    return (
        token_format.derive(token, salt, token_format.PREFIX),
        token_format.derive(token, salt, REFRESH_PREFIX),
    )


def _as_sign_in(row: sa.Row[Any]) -> SignIn:
    return SignIn(row.id, row.user_id, row.username, row.email, Identity(row.issuer, row.subject))
