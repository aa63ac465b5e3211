"""The table of users' own tokens for MCP servers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "aibridged_mcp_credentials",
        sa.Column("user_id", sa.String(36), sa.ForeignKey("aibridged_users.id"), primary_key=True),
        sa.Column("server_id", sa.String(32), primary_key=True),
        sa.Column("encrypted_token", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
