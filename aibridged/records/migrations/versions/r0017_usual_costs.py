"""What a person's sessions usually cost."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "aibridged_usual_costs",
        sa.Column("initiator_id", sa.String(36), primary_key=True),
        sa.Column("cost_nanos", sa.BigInteger, nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
    )
