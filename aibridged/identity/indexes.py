"""The index of the users' names, as the migrations make it: unique among those who aren't deleted.

It isn't in `tables`, since no query needs it, and PostgreSQL's condition loads its dialect.
"""

import sqlalchemy as sa

from aibridged.identity.tables import not_deleted, users

USERNAME = sa.Index(
    "aibridged_users_username",
    users.c.username,
    unique=True,
    sqlite_where=not_deleted,
    postgresql_where=not_deleted,
)
