"""Why an interception failed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; NULL is no failure, or one from before they were there."""
    for name, kind in (
        ("error_type", sa.String(32)),
        ("error_source", sa.String(16)),
        ("error_code", sa.String(256)),
        ("error_message", sa.Text()),
    ):
        op.add_column("aibridge_interceptions", sa.Column(name, kind))
