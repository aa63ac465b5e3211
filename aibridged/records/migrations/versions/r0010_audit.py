"""The table of what administrators did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    json = sa.JSON(none_as_null=True).with_variant(JSONB(), "postgresql")
    op.create_table(
        "aibridged_audit",
        sa.Column("id", number, sa.Identity(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(256), nullable=False),
        sa.Column("before", json),
        sa.Column("after", json),
    )
    op.create_index("aibridged_audit_at", "aibridged_audit", ["at"])
