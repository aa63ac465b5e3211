"""Deletes what sign-ins leave behind: expired device codes, bearers and refresh tokens.

Everything here blocks: the daemon calls it off its event loop.
"""

from datetime import timedelta

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.identity.tables import (
    device_codes,
    identities,
    refresh_tokens,
    sign_ins,
    tokens,
    transaction,
    users,
)

BATCH = 500
"""Rows of a table that are deleted at once, so that no other transaction waits for long."""

_CODES_KEPT = timedelta(hours=1)
"""A device that asks late is told that its code has expired."""
_BEARERS_KEPT = timedelta(days=1)
_USED_KEPT = timedelta(days=7)
"""A refresh token that comes again is recognised for so long."""


class SignInPurge:
    """Deletes expired rows, a batch of each table at a time."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._now = clock.wall

    def __call__(self) -> int:
        """Delete a batch of each; returns how many rows. Zero: there is nothing left to delete.

        Raises:
            StoreUnavailableError: the database failed.
        """
        return self._forget_grants() + sum(map(self._delete, self._expired()))

    def _expired(self) -> tuple[tuple[sa.Table, sa.ColumnElement[bool]], ...]:
        now = self._now()
        over = sa.or_(
            sign_ins.c.ended_at <= now - _USED_KEPT, sign_ins.c.expires_at <= now - _USED_KEPT
        )
        of_ended = refresh_tokens.c.sign_in_id.in_(sa.select(sign_ins.c.id).where(over))
        is_referred_to = sa.exists().where(refresh_tokens.c.sign_in_id == sign_ins.c.id)
        return (
            (device_codes, device_codes.c.expires_at <= now - _CODES_KEPT),
            (
                tokens,
                sa.and_(
                    tokens.c.sign_in_id.is_not(None), tokens.c.expires_at <= now - _BEARERS_KEPT
                ),
            ),
            (
                refresh_tokens,
                sa.or_(refresh_tokens.c.used_at <= now - _USED_KEPT, of_ended),
            ),
            (sign_ins, sa.and_(over, ~is_referred_to)),
        )

    def _forget_grants(self) -> int:
        """Remove the identity provider's refresh tokens of users who were deleted."""
        deleted = sa.select(users.c.id).where(users.c.deleted_at.is_not(None))
        theirs = sa.and_(
            identities.c.encrypted_refresh_token.is_not(None), identities.c.user_id.in_(deleted)
        )
        with transaction(self._engine) as connection:
            if connection.execute(sa.select(identities.c.subject).where(theirs).limit(1)).first():
                forgotten = identities.update().where(theirs).values(encrypted_refresh_token=None)
                return connection.execute(forgotten).rowcount
        return 0

    def _delete(self, expired: tuple[sa.Table, sa.ColumnElement[bool]]) -> int:
        table, which = expired
        (key,) = table.primary_key.columns
        batch = sa.select(key).where(which).limit(BATCH)
        with transaction(self._engine) as connection:
            if connection.execute(batch.limit(1)).first() is None:
                return 0
        with transaction(self._engine) as connection:
            return connection.execute(table.delete().where(key.in_(batch))).rowcount
