"""The table of who made what a provider stores, and the status of what runs in the background."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0006"
down_revision = "0005"

_ID = sa.String(36).with_variant(UUID(as_uuid=False), "postgresql")

# Responses that were recorded before are still their makers'. Conversations nobody noted.
_RECORDED = """
INSERT INTO aibridged_stored_objects
    (provider_name, object_id, initiator_id, interception_id, is_background, created_at)
SELECT made.provider_name, usage.provider_response_id, made.initiator_id, made.id, false,
    usage.created_at
FROM aibridge_token_usages AS usage
JOIN aibridge_interceptions AS made ON made.id = usage.interception_id
WHERE usage.provider_response_id LIKE 'resp%' AND length(usage.provider_response_id) <= 256
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    """Make the table and the column."""
    op.add_column("aibridge_interceptions", sa.Column("background_status", sa.String(32)))
    op.create_table(
        "aibridged_stored_objects",
        sa.Column("provider_name", sa.String(256), primary_key=True),
        sa.Column("object_id", sa.String(256), primary_key=True),
        sa.Column("initiator_id", sa.String(36), nullable=False),
        sa.Column("interception_id", _ID),
        sa.Column("is_background", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(_RECORDED)
    op.create_index(
        "idx_aibridged_stored_objects_created_at", "aibridged_stored_objects", ["created_at"]
    )
