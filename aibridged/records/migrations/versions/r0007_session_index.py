"""The index of sessions tells them apart by their initiators, and so counts them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NAME = "idx_aibridge_interceptions_session_id"
_TABLE = "aibridge_interceptions"


def upgrade() -> None:
    """Recreate the index."""
    op.drop_index(_NAME, _TABLE)
    ended = sa.text("ended_at IS NOT NULL")
    op.create_index(
        _NAME,
        _TABLE,
        ["session_id", "initiator_id", "started_at"],
        sqlite_where=ended,
        postgresql_where=ended,
    )
