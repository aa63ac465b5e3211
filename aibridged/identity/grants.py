"""What identity providers have granted: the refresh token of each person, encrypted at rest.

All sign-ins of a person share it, since a provider that rotates its refresh tokens accepts each of
them once. A lease keeps refreshes apart, on all replicas. Everything here blocks: the daemon calls
it off its event loop.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.config.secret import Secret
from aibridged.identity.credential_key import CredentialKey
from aibridged.identity.tables import identities, mcp_credentials, not_deleted, transaction, users

LEASE = timedelta(seconds=60)
"""Longer than an identity provider may take; a replica that dies holds it no longer."""


class Identity(msgspec.Struct, frozen=True):
    """Who somebody is at an identity provider."""

    issuer: str
    subject: str

    @property
    def purpose(self) -> str:
        """The purpose that the encrypted refresh token is bound to."""
        return f"identity-provider {self.issuer} {self.subject}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's refresh token at the identity provider; `stored` tells it from a later one."""

    identity: Identity
    refresh_token: Secret
    stored: bytes = field(repr=False)


class Grants:
    """The refresh tokens of identity providers. Every method may raise StoreUnavailableError."""

    def __init__(self, engine: sa.Engine, key: CredentialKey, clock: Clock) -> None:
        self._engine = engine
        self._key = key
        self._now = clock.wall

    def prepare(self) -> None:
        """Create the key, if there is none yet.

        Raises:
            CredentialKeyError: it can't be created, or is lost: something is encrypted with it.
        """
        if self._key.exists:
            return
        encrypted = (
            sa.select(mcp_credentials.c.user_id).limit(1),
            sa.select(users.c.id)
            .join(identities)
            .where(identities.c.encrypted_refresh_token.is_not(None), not_deleted)
            .limit(1),
        )
        with transaction(self._engine) as connection:
            if any(connection.execute(statement).first() for statement in encrypted):
                raise self._key.lost()
        self._key.make()

    def put(self, identity: Identity, refresh_token: Secret) -> None:
        """Store a refresh token in place of any earlier one."""
        encrypted = self._key.encrypt(refresh_token, identity.purpose)
        with transaction(self._engine) as connection:
            connection.execute(_of(identity).values(encrypted_refresh_token=encrypted))

    def of(self, identity: Identity) -> Grant | None:
        """The refresh token; None: the identity provider has issued none.

        Raises:
            CredentialKeyError: the key is missing, or a different one.
        """
        statement = sa.select(identities.c.encrypted_refresh_token).where(_is(identity))
        with transaction(self._engine) as connection:
            stored = connection.execute(statement).scalar_one_or_none()
        if stored is None:
            return None
        return Grant(identity, self._key.decrypt(stored, identity.purpose), stored)

    def replace(self, grant: Grant, refresh_token: Secret) -> None:
        """Store the successor of a refresh token, unless the person has signed in again since."""
        encrypted = self._key.encrypt(refresh_token, grant.identity.purpose)
        of_grant = _of(grant.identity).where(identities.c.encrypted_refresh_token == grant.stored)
        with transaction(self._engine) as connection:
            connection.execute(of_grant.values(encrypted_refresh_token=encrypted))

    def drop(self, grant: Grant) -> bool:
        """Remove a refresh token that has ended; False: the person has signed in again since."""
        of_grant = _of(grant.identity).where(identities.c.encrypted_refresh_token == grant.stored)
        with transaction(self._engine) as connection:
            return bool(connection.execute(of_grant.values(encrypted_refresh_token=None)).rowcount)

    def lease(self, identity: Identity) -> datetime | None:
        """Take the person's lease; None: another refresh has it. The lease is to be released."""
        now = self._now()
        is_free = sa.or_(
            identities.c.refreshing_until.is_(None), identities.c.refreshing_until <= now
        )
        until = now + LEASE
        with transaction(self._engine) as connection:
            taken = connection.execute(_of(identity).where(is_free).values(refreshing_until=until))
        return until if taken.rowcount else None

    def release(self, identity: Identity, lease: datetime) -> None:
        """Give a lease back, if it is still held."""
        held = _of(identity).where(identities.c.refreshing_until == lease)
        with transaction(self._engine) as connection:
            connection.execute(held.values(refreshing_until=None))


def _is(identity: Identity) -> sa.ColumnElement[bool]:
    return sa.and_(identities.c.issuer == identity.issuer, identities.c.subject == identity.subject)


def _of(identity: Identity) -> sa.Update:
    return identities.update().where(_is(identity))
