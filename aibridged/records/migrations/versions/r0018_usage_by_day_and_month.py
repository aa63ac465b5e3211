"""Usage by the hour, day and month, by outcome, too."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_TIME = sa.DateTime(timezone=True)
_COUNTS = (
    "model_interceptions",
    "interceptions",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "cost_nanos",
    "priced",
    "estimated",
    "unpriced",
)


def upgrade() -> None:
    """Make the tables, empty: the daemon sums everything up again, the newest hours first."""
    op.drop_table("aibridged_usage_hours")
    op.drop_table("aibridged_summarised_hours")
    for span in ("hour", "day", "month"):
        op.create_table(
            f"aibridged_usage_{span}s",
            sa.Column("starts_at", _TIME, primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("initiator_id", sa.String(36), nullable=False),
            sa.Column("username", sa.Text),
            sa.Column("api_key_id", sa.Text),
            sa.Column("provider", sa.String(256), nullable=False),
            sa.Column("provider_name", sa.String(256), nullable=False),
            sa.Column("model", sa.String(256), nullable=False),
            sa.Column("client", sa.String(64), nullable=False),
            sa.Column("credential_kind", sa.String(16), nullable=False),
            sa.Column("credential_hint", sa.String(15), nullable=False),
            sa.Column("outcome", sa.String(16)),
            *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "aibridged_summarised_spans",
        sa.Column("span", sa.String(8), primary_key=True),
        sa.Column("starts_at", _TIME, primary_key=True),
        sa.Column("is_dirty", sa.Boolean, nullable=False),
        sa.Column("claimed_by", sa.BigInteger),
        sa.Column("claimed_until", _TIME),
    )
