"""The model that used the tokens, where it isn't the interception's."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("aibridge_token_usages", sa.Column("provider_model", sa.String(256)))
