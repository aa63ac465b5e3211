"""Database tables of users, tokens and credentials, and transactions on them."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from aibridged.columns import UtcDateTime
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.users import MAX_EMAIL, MAX_NAME, MAX_USERNAME

MAX_SERVER_ID = 32
MAX_ACTOR = 256
MAX_ACTION = 64


metadata = sa.MetaData()

users = sa.Table(
    "aibridged_users",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("username", sa.String(MAX_USERNAME), nullable=False),
    sa.Column("name", sa.String(MAX_NAME), nullable=False),
    sa.Column("email", sa.String(MAX_EMAIL)),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("is_admin", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),
)
not_deleted = users.c.deleted_at.is_(None)
sa.Index(
    "aibridged_users_username",
    users.c.username,
    unique=True,
    sqlite_where=not_deleted,
    postgresql_where=not_deleted,
)

tokens = sa.Table(
    "aibridged_tokens",
    metadata,
    sa.Column("id", sa.String(10), primary_key=True),
    sa.Column("user_id", sa.String(36), sa.ForeignKey(users.c.id), nullable=False),
    sa.Column("name", sa.String(MAX_NAME), nullable=False),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Index("aibridged_tokens_user_id", "user_id"),
)

mcp_credentials = sa.Table(
    "aibridged_mcp_credentials",
    metadata,
    sa.Column("user_id", sa.String(36), sa.ForeignKey(users.c.id), primary_key=True),
    sa.Column("server_id", sa.String(MAX_SERVER_ID), primary_key=True),
    sa.Column("encrypted_token", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

_json = sa.JSON(none_as_null=True).with_variant(JSONB(), "postgresql")
audit = sa.Table(
    "aibridged_audit",
    metadata,
    sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True
    ),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(MAX_ACTOR), nullable=False),
    sa.Column("action", sa.String(MAX_ACTION), nullable=False),
    sa.Column("target", sa.String(MAX_ACTOR), nullable=False),
    sa.Column("before", _json),
    sa.Column("after", _json),
    sa.Index("aibridged_audit_at", "at"),
)


class StoreUnavailableError(AuthUnavailableError):
    """The database failed; the message says how, without statements or values."""


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction.

    Raises:
        StoreUnavailableError: the database failed.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailableError(_reason(error)) from None


def _reason(error: DBAPIError | PoolTimeout) -> str:
    """The driver's own message; SQLAlchemy's would add the statement and its values."""
    cause = str(error.orig if isinstance(error, DBAPIError) else error)
    return f"The database of users and tokens failed: {cause.strip().partition(chr(10))[0]}"
