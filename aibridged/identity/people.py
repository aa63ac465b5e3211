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
from aibridged.identity import audit
from aibridged.identity.tables import (
    identities,
    mcp_credentials,
    refresh_tokens,
    sign_ins,
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
        """Delete the tokens and credentials, and the user but for the name that records go by."""
        deleted_at = sa.func.coalesce(users.c.deleted_at, self._now())
        with transaction(self._engine) as connection:
            theirs = sa.select(sign_ins.c.id).where(sign_ins.c.user_id == person.id)
            connection.execute(
                refresh_tokens.delete().where(refresh_tokens.c.sign_in_id.in_(theirs))
            )
            for table in (tokens, mcp_credentials, sign_ins, identities):
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
