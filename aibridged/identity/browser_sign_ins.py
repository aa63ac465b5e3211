"""Browsers' sign-ins as the web page asks for them: whose they are, and when that was checked."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.identity.base import Actor
from aibridged.identity.grants import Identity
from aibridged.identity.groups import groups_of
from aibridged.identity.sign_in import Kind
from aibridged.identity.tables import not_deleted, sign_ins, transaction, users
from aibridged.identity.users import UserStatus

_FOUND = (
    sa.select(
        sign_ins.c.user_id,
        sign_ins.c.issuer,
        sign_ins.c.subject,
        sign_ins.c.checked_at,
        sign_ins.c.expires_at,
        users.c.username,
        users.c.is_admin,
        users.c.email,
    )
    .join(users)
    .where(
        sign_ins.c.id == sa.bindparam("sign_in_id"),
        sign_ins.c.kind == Kind.BROWSER,
        sign_ins.c.ended_at.is_(None),
        sign_ins.c.expires_at > sa.bindparam("now"),
        users.c.status == UserStatus.ACTIVE,
        not_deleted,
    )
)


class BrowserSignIn(msgspec.Struct, frozen=True):
    """A sign-in that goes on. `checked_at`: when the identity provider last vouched for it."""

    actor: Actor
    identity: Identity
    checked_at: datetime


class BrowserSignIns:
    """Looks browsers' sign-ins up. Everything blocks, and may raise StoreUnavailableError."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._now = clock.wall

    def find(self, sign_in_id: str) -> BrowserSignIn | None:
        """The sign-in, with its user's role and groups; None if it has ended."""
        with transaction(self._engine) as connection:
            asked = {"sign_in_id": sign_in_id, "now": self._now()}
            row = connection.execute(_FOUND, asked).one_or_none()
            if row is None:
                return None
            of_groups = groups_of(connection, row.user_id)
        actor = Actor(
            row.user_id,
            row.username,
            None,
            row.is_admin,
            row.expires_at,
            row.email,
            of_groups,
        )
        return BrowserSignIn(actor, Identity(row.issuer, row.subject), row.checked_at)

    def checked(self, sign_in_id: str) -> None:
        """Note that the identity provider has vouched for it now."""
        with transaction(self._engine) as connection:
            connection.execute(
                sign_ins.update().where(sign_ins.c.id == sign_in_id).values(checked_at=self._now())
            )
