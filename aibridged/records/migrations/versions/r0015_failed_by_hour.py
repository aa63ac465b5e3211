"""How many interceptions failed, in the summaries of usage."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Extend the summaries, and have the daemon sum up all hours again, the newest first."""
    for name in ("model_failed", "failed"):
        zero = sa.text("0")
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default=zero)
        op.add_column("aibridged_usage_hours", column)
    op.execute(
        sa.text(
            "UPDATE aibridged_summarised_hours"
            " SET is_dirty = true, claimed_by = NULL, claimed_until = NULL"
            " WHERE EXISTS (SELECT 1 FROM aibridged_usage_hours"
            " WHERE aibridged_usage_hours.hour = aibridged_summarised_hours.hour)"
        )
    )
