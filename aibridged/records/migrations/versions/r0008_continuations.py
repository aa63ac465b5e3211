"""How to go on from a response that consists of several turns."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; NULL is a response that is gone on from as it is."""
    op.add_column("aibridged_stored_objects", sa.Column("continuation", sa.Text))
