"""Who is in which group, for questions about policies. Blocks; reads only."""

from collections.abc import Collection

import sqlalchemy as sa

from aibridged.identity.tables import group_members, groups, not_deleted, transaction, users
from aibridged.identity.users import MAX_GROUPS, no_such_user

_MEMBERSHIPS = (
    sa.select(groups.c.name)
    .select_from(group_members.join(groups).join(users))
    .where(not_deleted)
    .order_by(groups.c.name)
)


class Memberships:
    """The groups of one database. Every method may raise StoreUnavailableError."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def groups_of(self, username: str) -> tuple[str, ...]:
        """The names of a user's groups, in order, as authentication finds them.

        Raises:
            IdentityError: there is no such user.
        """
        is_named = users.c.username == username
        asked = sa.select(users.c.id).where(is_named, not_deleted)
        with transaction(self._engine) as connection:
            if connection.execute(asked).first() is None:
                known = connection.execute(sa.select(users.c.username).where(not_deleted)).scalars()
                raise no_such_user(username, list(known))
            found = _MEMBERSHIPS.where(is_named).limit(MAX_GROUPS)
            return tuple(connection.execute(found).scalars())

    def missing(self, names: Collection[str]) -> set[str]:
        """Those of the names that no group has."""
        asked = sa.select(groups.c.name).where(groups.c.name.in_(names))
        with transaction(self._engine) as connection:
            return {*names} - set(connection.execute(asked).scalars())

    def with_members(self) -> set[str]:
        """The names of the groups that have a member."""
        with transaction(self._engine) as connection:
            return set(connection.execute(_MEMBERSHIPS.distinct()).scalars())


def groups_by_member(connection: sa.Connection) -> dict[str, list[str]]:
    """The names of the groups of every user who has some, in order, by the user's id."""
    found: dict[str, list[str]] = {}
    for name, user_id in connection.execute(_MEMBERSHIPS.add_columns(users.c.id)):
        found.setdefault(user_id, []).append(name)
    return found
