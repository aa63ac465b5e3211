"""The tables of what is recorded of interceptions."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0001"
down_revision = None

_ID = sa.String(36).with_variant(UUID(as_uuid=False), "postgresql")
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    _interceptions()
    _belonging(
        "aibridge_token_usages",
        _text("provider_response_id"),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_read_input_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_write_input_tokens", sa.BigInteger, nullable=False),
    )
    _belonging("aibridge_user_prompts", _text("provider_response_id"), _text("prompt"))
    _belonging(
        "aibridge_tool_usages",
        _text("provider_response_id"),
        sa.Column("server_url", sa.Text),
        _text("tool"),
        _text("input"),
        sa.Column("injected", sa.Boolean, nullable=False),
        sa.Column("invocation_error", sa.Text),
        sa.Column("provider_tool_call_id", sa.String(256)),
        sa.Column("provider_item_id", sa.Text),
    )
    op.create_index(
        "idx_aibridge_tool_usages_provider_tool_call_id",
        "aibridge_tool_usages",
        ["provider_tool_call_id", "created_at"],
    )
    _belonging("aibridge_model_thoughts", _text("content"))


def _interceptions() -> None:
    op.create_table(
        "aibridge_interceptions",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("initiator_id", sa.String(36), nullable=False),
        sa.Column("username", sa.Text),
        sa.Column("api_key_id", sa.Text),
        sa.Column("provider", sa.String(256), nullable=False),
        sa.Column("provider_name", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("user_agent", sa.String(1024)),
        sa.Column("client_session_id", sa.String(256)),
        sa.Column(
            "session_id",
            sa.Text,
            sa.Computed(
                "coalesce(client_session_id, CAST(thread_root_id AS TEXT), CAST(id AS TEXT))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column("credential_kind", sa.String(16), nullable=False),
        sa.Column("credential_hint", sa.String(15), nullable=False),
        sa.Column("correlating_tool_call_id", sa.String(256)),
        sa.Column("thread_parent_id", _ID),
        sa.Column("thread_root_id", _ID),
        sa.Column("recorder_id", sa.BigInteger, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("metadata", _JSON),
        sa.Column("ended_at", _TIME),
        sa.Column("status_code", sa.Integer),
        sa.Column("outcome", sa.String(16)),
        sa.Column("usage_partial", sa.Boolean),
        sa.Column("time_to_first_byte_ms", sa.BigInteger),
    )
    _index("started_at", ["started_at"], "ended_at IS NOT NULL")
    for name in ("initiator_id", "provider", "model", "client", "session_id"):
        _index(name, [name, "started_at"], "ended_at IS NOT NULL")
    _index("open", ["recorder_id"], "ended_at IS NULL")


def _index(name: str, columns: list[str], when: str) -> None:
    op.create_index(
        f"idx_aibridge_interceptions_{name}",
        "aibridge_interceptions",
        columns,
        sqlite_where=sa.text(when),
        postgresql_where=sa.text(when),
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _belonging(name: str, *columns: sa.Column[Any]) -> None:
    """A table of what belongs to an interception and goes with it."""
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True),
        sa.Column(
            "interception_id",
            _ID,
            sa.ForeignKey("aibridge_interceptions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        *columns,
        sa.Column("metadata", _JSON),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index(f"idx_{name}_interception_id", name, ["interception_id"])
