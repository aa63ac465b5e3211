"""Database tables of users, tokens and credentials, and transactions on them."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from aibridged.columns import JsonObject, UtcDateTime
from aibridged.core import claims
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.users import MAX_EMAIL, MAX_GROUP, MAX_NAME, MAX_USERNAME

MAX_SERVER_ID = 32
MAX_ACTOR = 256
MAX_ACTION = 64
MAX_ISSUER = 512
MAX_SUBJECT = claims.MAX_SUBJECT
MAX_CLIENT = 64
MAX_SIGN_IN_ID = 10


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
    sa.Column("is_robot", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime),
    sa.Column("deleted_at", UtcDateTime),
)
not_deleted = users.c.deleted_at.is_(None)

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
    sa.Column("sign_in_id", sa.String(MAX_SIGN_IN_ID)),
    sa.Index("aibridged_tokens_user_id", "user_id"),
    sa.Index("aibridged_tokens_sign_in_id", "sign_in_id"),
)

mcp_credentials = sa.Table(
    "aibridged_mcp_credentials",
    metadata,
    sa.Column("user_id", sa.String(36), sa.ForeignKey(users.c.id), primary_key=True),
    sa.Column("server_id", sa.String(MAX_SERVER_ID), primary_key=True),
    sa.Column("encrypted_token", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

groups = sa.Table(
    "aibridged_groups",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(MAX_GROUP), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("aibridged_groups_name", "name", unique=True),
)

group_members = sa.Table(
    "aibridged_group_members",
    metadata,
    sa.Column("group_id", sa.String(36), sa.ForeignKey(groups.c.id), primary_key=True),
    sa.Column("user_id", sa.String(36), sa.ForeignKey(users.c.id), primary_key=True),
    # Whether it follows the identity provider's claim; an administrator's additions stay.
    sa.Column("by_sign_in", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("aibridged_group_members_user_id", "user_id"),
)

identities = sa.Table(
    "aibridged_identities",
    metadata,
    sa.Column("issuer", sa.String(MAX_ISSUER), primary_key=True),
    sa.Column("subject", sa.String(MAX_SUBJECT), primary_key=True),
    sa.Column("user_id", sa.String(36), sa.ForeignKey(users.c.id), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # The identity provider's, which all sign-ins of the person share.
    sa.Column("encrypted_refresh_token", sa.LargeBinary),
    # A lease: one refresh at a time, on all replicas.
    sa.Column("refreshing_until", UtcDateTime),
    sa.Index("aibridged_identities_user_id", "user_id"),
)

sign_ins = sa.Table(
    "aibridged_sign_ins",
    metadata,
    sa.Column("id", sa.String(MAX_SIGN_IN_ID), primary_key=True),
    sa.Column("user_id", sa.String(36), sa.ForeignKey(users.c.id), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("client", sa.String(MAX_CLIENT), nullable=False),
    sa.Column("issuer", sa.String(MAX_ISSUER), nullable=False),
    sa.Column("subject", sa.String(MAX_SUBJECT), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # When the identity provider last vouched for the user.
    sa.Column("checked_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("aibridged_sign_ins_user_id", "user_id"),
    sa.Index("aibridged_sign_ins_expires_at", "expires_at"),
)

refresh_tokens = sa.Table(
    "aibridged_refresh_tokens",
    metadata,
    sa.Column("id", sa.String(10), primary_key=True),
    sa.Column(
        "sign_in_id", sa.String(MAX_SIGN_IN_ID), sa.ForeignKey(sign_ins.c.id), nullable=False
    ),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    # The successor's secret follows from the token's own, which isn't stored, and this.
    sa.Column("successor_salt", sa.LargeBinary(32)),
    sa.Index("aibridged_refresh_tokens_sign_in_id", "sign_in_id"),
)

device_codes = sa.Table(
    "aibridged_device_codes",
    metadata,
    sa.Column("secret_sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("user_code", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("client", sa.String(MAX_CLIENT), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("polled_at", UtcDateTime),
    sa.Column("interval_s", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sign_in_id", sa.String(MAX_SIGN_IN_ID)),
    sa.Index("aibridged_device_codes_user_code", "user_code", unique=True),
    sa.Index("aibridged_device_codes_expires_at", "expires_at"),
)

spend_limits = sa.Table(
    "aibridged_spend_limits",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("scope_type", sa.String(16), nullable=False),
    # Empty for the organisation's. No foreign key: other identity backends have users, too.
    sa.Column("scope_id", sa.String(64), nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    # NULL is unlimited.
    sa.Column("amount_cents", sa.BigInteger),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("aibridged_spend_limits_scope", "scope_type", "scope_id", "period", unique=True),
)

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
    sa.Column("before", JsonObject),
    sa.Column("after", JsonObject),
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
