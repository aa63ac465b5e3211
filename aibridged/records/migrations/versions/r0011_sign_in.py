"""Groups, sign-ins through an identity provider, and refusals by person."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Extend users and tokens, and make the tables."""
    robot = sa.Column("is_robot", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("aibridged_users", robot)
    op.add_column("aibridged_users", sa.Column("last_seen_at", _TIME))
    _groups()
    _sign_ins()
    op.create_table(
        "aibridged_refusals",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("user_id", sa.String(64), primary_key=True),
        sa.Column("reason", sa.String(64), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )


def _groups() -> None:
    op.create_table(
        "aibridged_groups",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("aibridged_groups_name", "aibridged_groups", ["name"], unique=True)
    op.create_table(
        "aibridged_group_members",
        sa.Column(
            "group_id", sa.String(36), sa.ForeignKey("aibridged_groups.id"), primary_key=True
        ),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("aibridged_users.id"), primary_key=True),
        sa.Column("by_sign_in", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("aibridged_group_members_user_id", "aibridged_group_members", ["user_id"])


def _sign_ins() -> None:
    op.create_table(
        "aibridged_identities",
        sa.Column("issuer", sa.String(512), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("aibridged_users.id"), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("encrypted_refresh_token", sa.LargeBinary),
        sa.Column("refreshing_until", _TIME),
    )
    op.create_index("aibridged_identities_user_id", "aibridged_identities", ["user_id"])
    op.create_table(
        "aibridged_sign_ins",
        sa.Column("id", sa.String(10), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("aibridged_users.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(512), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("checked_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
    )
    op.create_index("aibridged_sign_ins_user_id", "aibridged_sign_ins", ["user_id"])
    op.create_index("aibridged_sign_ins_expires_at", "aibridged_sign_ins", ["expires_at"])
    op.add_column("aibridged_tokens", sa.Column("sign_in_id", sa.String(10)))
    op.create_index("aibridged_tokens_sign_in_id", "aibridged_tokens", ["sign_in_id"])
    op.create_table(
        "aibridged_refresh_tokens",
        sa.Column("id", sa.String(10), primary_key=True),
        sa.Column(
            "sign_in_id", sa.String(10), sa.ForeignKey("aibridged_sign_ins.id"), nullable=False
        ),
        sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME),
        sa.Column("successor_salt", sa.LargeBinary(32)),
    )
    op.create_index(
        "aibridged_refresh_tokens_sign_in_id", "aibridged_refresh_tokens", ["sign_in_id"]
    )
    op.create_table(
        "aibridged_device_codes",
        sa.Column("secret_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("user_code", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("polled_at", _TIME),
        sa.Column("interval_s", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sign_in_id", sa.String(10)),
    )
    op.create_index(
        "aibridged_device_codes_user_code", "aibridged_device_codes", ["user_code"], unique=True
    )
    op.create_index("aibridged_device_codes_expires_at", "aibridged_device_codes", ["expires_at"])
