"""Indexes that find a user by name, those that failed, and how a session begins."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_TABLE = "aibridge_interceptions"
_SESSION_ID = f"idx_{_TABLE}_session_id"


def upgrade() -> None:
    """Create the first two, and on PostgreSQL recreate the third: any collation orders it now."""
    ended = "ended_at IS NOT NULL"
    for name, when in (("username", ended), ("outcome", f"{ended} AND outcome != 'completed'")):
        op.create_index(
            f"idx_{_TABLE}_{name}",
            _TABLE,
            [name, "started_at"],
            sqlite_where=sa.text(when),
            postgresql_where=sa.text(when),
        )
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index(_SESSION_ID, _TABLE)
        op.create_index(
            _SESSION_ID,
            _TABLE,
            ["session_id", "initiator_id", "started_at"],
            postgresql_where=sa.text(ended),
            postgresql_ops={"session_id": "text_pattern_ops"},
        )
