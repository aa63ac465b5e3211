"""What a budget alert says, and when it may be sent again."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Extend the alerts, of which none is there yet."""
    for name in ("used_nanos", "cap_nanos"):
        zero = sa.text("0")
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default=zero)
        op.add_column("aibridged_budget_alerts", column)
    op.add_column(
        "aibridged_budget_alerts", sa.Column("try_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_index("idx_aibridged_budget_alerts_try_at", "aibridged_budget_alerts", ["try_at"])
