"""Costs, spend limits, and the ledger that they are checked against."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Extend interceptions and token usages, and make the tables."""
    for column in _cost():
        op.add_column("aibridge_token_usages", column)
    op.add_column("aibridge_token_usages", sa.Column("price_version", sa.String(64)))
    for column in _cost():
        op.add_column("aibridge_interceptions", column)
    op.add_column("aibridge_interceptions", sa.Column("reserved_nanos", sa.BigInteger))
    op.add_column("aibridge_interceptions", sa.Column("charged_to", sa.Text))
    _revisions()
    _budgets()


def _cost() -> tuple[sa.Column[int], sa.Column[str]]:
    return sa.Column("cost_nanos", sa.BigInteger), sa.Column("cost_label", sa.String(16))


def _revisions() -> None:
    uuid = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")
    op.create_table(
        "aibridged_cost_revisions",
        sa.Column("usage_id", uuid, primary_key=True),
        sa.Column("revised_at", _TIME, primary_key=True),
        sa.Column(
            "interception_id",
            uuid,
            sa.ForeignKey("aibridge_interceptions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        *_cost(),
        sa.Column("price_version", sa.String(64)),
    )
    op.create_index(
        "idx_aibridged_cost_revisions_interception_id",
        "aibridged_cost_revisions",
        ["interception_id"],
    )


def _budgets() -> None:
    op.create_table(
        "aibridged_spend_limits",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("scope_type", sa.String(16), nullable=False),
        sa.Column("scope_id", sa.String(64), nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("amount_cents", sa.BigInteger),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.create_index(
        "aibridged_spend_limits_scope",
        "aibridged_spend_limits",
        ["scope_type", "scope_id", "period"],
        unique=True,
    )
    op.create_table(
        "aibridged_spend",
        sa.Column("subject", sa.String(96), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("spent_nanos", sa.BigInteger, nullable=False),
        sa.Column("reserved_nanos", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "aibridged_budget_alerts",
        sa.Column("limit_id", sa.String(32), primary_key=True),
        sa.Column("subject", sa.String(96), primary_key=True),
        sa.Column("period_start", sa.Date, primary_key=True),
        sa.Column("threshold", sa.Integer, primary_key=True),
        sa.Column("reached_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME),
    )
