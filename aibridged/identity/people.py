"""Finds and forgets the persons behind users and records, for erasures on request.

Users of another identity backend, such as Coder, have no row of their own here: their ids come from
the records. A username is free again once its user is deleted, so several may have had it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.core.budgets import Scope
from aibridged.identity import audit
from aibridged.identity.tables import audit as audit_rows
from aibridged.identity.tables import (
    device_codes,
    group_members,
    identities,
    mcp_credentials,
    refresh_tokens,
    sign_ins,
    spend_limits,
    tokens,
    transaction,
    users,
)

ERASE = "user.erase"


@dataclass(frozen=True, slots=True)
class Person:
    """An id, and the user who has or had it; None where there is none in this database."""

    id: str
    username: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None


class People:
    """The persons in one database. All of it blocks, and may raise StoreUnavailableError."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._now = clock.wall

    def find(self, name: str, initiator_ids: Iterable[str]) -> list[Person]:
        """Everyone who has or had this username or id, and those of the records' ids besides."""
        statement = sa.select(
            users.c.id, users.c.username, users.c.created_at, users.c.deleted_at
        ).where(
            sa.or_(users.c.username == name, users.c.id == name, users.c.id.in_([*initiator_ids]))
        )
        with transaction(self._engine) as connection:
            found = [Person(**row._mapping) for row in connection.execute(statement)]
        known = {person.id for person in found}
        return found + [Person(id) for id in initiator_ids if id not in known]

    def revoke(self, person: Person) -> None:
        """Delete tokens, credentials, sign-ins and memberships, and what the audit log tells.

        Of the user, the name that records go by is left.
        """
        deleted_at = sa.func.coalesce(users.c.deleted_at, self._now())
        theirs = sa.select(sign_ins.c.id).where(sign_ins.c.user_id == person.id)
        with transaction(self._engine) as connection:
            _blank(connection, person)
            for table in (device_codes, refresh_tokens):
                connection.execute(table.delete().where(table.c.sign_in_id.in_(theirs)))
            own = sa.select(tokens.c.id).where(tokens.c.user_id == person.id)
            limits = spend_limits.c
            is_theirs = sa.and_(limits.scope_type == Scope.USER, limits.scope_id == person.id)
            of_token = sa.and_(limits.scope_type == Scope.TOKEN, limits.scope_id.in_(own))
            connection.execute(spend_limits.delete().where(sa.or_(is_theirs, of_token)))
            for table in (tokens, mcp_credentials, sign_ins, identities, group_members):
                connection.execute(table.delete().where(table.c.user_id == person.id))
            connection.execute(
                users.update()
                .where(users.c.id == person.id)
                .values(name="", email=None, deleted_at=deleted_at)
            )

    def forget(
        self,
        person: Person,
        *,
        actor: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        completely: bool,
    ) -> None:
        """Delete the user, if nothing else is left, and append that to the audit log by the id."""
        with transaction(self._engine) as connection:
            if completely:
                connection.execute(users.delete().where(users.c.id == person.id))
            audit.record(
                connection,
                at=self._now(),
                actor=actor,
                action=ERASE,
                target=person.id,
                before=before,
                after=after,
            )


def _blank(connection: sa.Connection, person: Person) -> None:
    """Remove the names in the rows on a user and their tokens; that they changed stays."""
    of_theirs = sa.select(tokens.c.id).where(tokens.c.user_id == person.id)
    about = sa.or_(audit_rows.c.target == person.id, audit_rows.c.target.in_(of_theirs))
    their_own = sa.and_(about, audit_rows.c.actor == person.username)
    connection.execute(audit_rows.update().where(their_own).values(actor=person.id))
    connection.execute(
        audit_rows.update()
        .where(about, audit_rows.c.action != ERASE)
        .values(before=sa.null(), after=sa.null())
    )
