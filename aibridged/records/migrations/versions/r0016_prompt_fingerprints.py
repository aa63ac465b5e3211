"""Fingerprints of prompts."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the table."""
    uuid = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")
    op.create_table(
        "aibridged_prompt_fingerprints",
        sa.Column(
            "interception_id",
            uuid,
            sa.ForeignKey("aibridge_interceptions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("api", sa.String(32), nullable=False),
        sa.Column("base_id", uuid),
        sa.Column("shared", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("blocks", sa.LargeBinary, nullable=False),
    )
