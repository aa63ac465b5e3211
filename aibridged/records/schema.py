"""Database schema, for SQLite and PostgreSQL, with the names and columns of Coder's AI Bridge.

What goes beyond Coder's columns: username, user_agent, correlating_tool_call_id, recorder_id, how
an interception ended (of which Coder has error_type and error_message),
`aibridged_stored_objects`: who made what a provider stores, and `aibridged_refusals`: how often
each person was refused something on a day (in UTC). Of costs, `aibridged_cost_revisions` keeps
what a usage's was before it was computed again, and `aibridged_spend` what a subject (user, token
or group pool) has spent and reserved on a day, of the interceptions that started on it: an
interception's `reserved_nanos` are reserved until it ends, and its `charged_to` are the subjects
beside its initiator, separated by blanks. `aibridged_usage_*` sum up usage by the hour, day and
month (see `usage_summaries`), which holds for the spans of `aibridged_summarised_spans` that aren't
dirty;
`aibridged_usual_costs` is what a person's sessions usually cost. An interception has no foreign key
on its initiator, so that its row outlives the user. The
provider_model of a token usage is NULL where the tokens are those of the interception's own model,
whatever the provider calls it.

The interceptions' indexes are in `indexes`. Ids of interceptions are UUIDv7 of the time at which
they started. PostgreSQL has partitions of them by month, and of what belongs to them (see
`partitions`): there the primary key of what belongs to an interception begins with its id, and
does without an index of its own, and a foreign key is that of a partition.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aibridged.columns import JsonObject, UtcDateTime

# Indexed texts have a bound: PostgreSQL refuses index entries of more than 2.7 kB.
MAX_NAME = 256
"""Characters of the name of a model or provider, or the id of a session or tool call."""
MAX_CLIENT = 64
MAX_CREDENTIAL_HINT = 15
MAX_USER_AGENT = 1024
# So have those that aren't indexed: each row of a response with many tool calls repeats them.
MAX_ID = 1024
"""Characters of the id of a response or an item; some providers' are encrypted state."""
MAX_URL = 2048
MAX_ERROR_MESSAGE = 2048
MAX_STATUS = 32
MAX_USER_ID = 64
MAX_REASON = 64
MAX_LABEL = 16
MAX_PRICE_VERSION = 64
MAX_SUBJECT = 96
MAX_SPAN = 8


RowId = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")
"""A UUID in canonical text, which SQLite stores as it is."""


def _metadata() -> sa.Column[Any]:
    return sa.Column("metadata", JsonObject)


def _cost() -> tuple[sa.Column[int | None], sa.Column[str | None]]:
    """Nano-dollars and their label (see `core.prices`); both NULL where it wasn't computed."""
    return sa.Column("cost_nanos", sa.BigInteger), sa.Column("cost_label", sa.String(MAX_LABEL))


def _created_at() -> sa.Column[datetime]:
    return sa.Column("created_at", UtcDateTime, nullable=False)


def _response_id() -> sa.Column[str]:
    return sa.Column("provider_response_id", sa.Text, nullable=False)


metadata = sa.MetaData()

interceptions = sa.Table(
    "aibridge_interceptions",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("initiator_id", sa.String(36), nullable=False),
    sa.Column("username", sa.Text),
    sa.Column("api_key_id", sa.Text),
    sa.Column("provider", sa.String(MAX_NAME), nullable=False),
    sa.Column("provider_name", sa.String(MAX_NAME), nullable=False),
    sa.Column("model", sa.String(MAX_NAME), nullable=False),
    sa.Column("client", sa.String(MAX_CLIENT), nullable=False),
    sa.Column("user_agent", sa.String(MAX_USER_AGENT)),
    sa.Column("client_session_id", sa.String(MAX_NAME)),
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
    sa.Column("credential_hint", sa.String(MAX_CREDENTIAL_HINT), nullable=False),
    sa.Column("correlating_tool_call_id", sa.String(MAX_NAME)),
    sa.Column("thread_parent_id", RowId),
    sa.Column("thread_root_id", RowId),
    sa.Column("recorder_id", sa.BigInteger, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    _metadata(),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("status_code", sa.Integer),
    sa.Column("outcome", sa.String(16)),
    sa.Column("usage_partial", sa.Boolean),
    sa.Column("time_to_first_byte_ms", sa.BigInteger),
    sa.Column("error_type", sa.String(32)),
    sa.Column("error_source", sa.String(16)),
    sa.Column("error_code", sa.String(MAX_NAME)),
    sa.Column("error_message", sa.Text),
    sa.Column("background_status", sa.String(MAX_STATUS)),
    *_cost(),
    sa.Column("reserved_nanos", sa.BigInteger),
    sa.Column("charged_to", sa.Text),
)


def not_completed(columns: Any) -> sa.ColumnElement[bool]:
    """The condition of the index of the few interceptions that have ended otherwise."""
    condition: sa.ColumnElement[bool] = columns.outcome != sa.literal_column("'completed'")
    return condition


def _belonging(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table of child rows, which are deleted with their interception."""
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", RowId, primary_key=True),
        sa.Column(
            "interception_id",
            RowId,
            sa.ForeignKey(interceptions.c.id, ondelete="CASCADE"),
            nullable=False,
        ),
        *columns,
        _metadata(),
        _created_at(),
    )
    sa.Index(f"idx_{name}_interception_id", table.c.interception_id)
    return table


TOKEN_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
)
"""The columns of `token_usages` that can be summed: none includes another."""

token_usages = _belonging(
    "aibridge_token_usages",
    _response_id(),
    sa.Column("provider_model", sa.String(MAX_NAME)),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in TOKEN_COUNTS),
    *_cost(),
    sa.Column("price_version", sa.String(MAX_PRICE_VERSION)),
)

user_prompts = _belonging(
    "aibridge_user_prompts",
    _response_id(),
    sa.Column("prompt", sa.Text, nullable=False),
)

tool_usages = _belonging(
    "aibridge_tool_usages",
    _response_id(),
    sa.Column("server_url", sa.Text),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("input", sa.Text, nullable=False),
    sa.Column("injected", sa.Boolean, nullable=False),
    sa.Column("invocation_error", sa.Text),
    sa.Column("provider_tool_call_id", sa.String(MAX_NAME)),
    sa.Column("provider_item_id", sa.Text),
)
sa.Index(
    "idx_aibridge_tool_usages_provider_tool_call_id",
    tool_usages.c.provider_tool_call_id,
    tool_usages.c.created_at,
)

model_thoughts = _belonging(
    "aibridge_model_thoughts",
    sa.Column("content", sa.Text, nullable=False),
)

stored_objects = sa.Table(
    "aibridged_stored_objects",
    metadata,
    sa.Column("provider_name", sa.String(MAX_NAME), primary_key=True),
    sa.Column("object_id", sa.String(MAX_NAME), primary_key=True),
    sa.Column("initiator_id", sa.String(36), nullable=False),
    # No foreign key: a row goes with the retention, and may be written before its interception's.
    sa.Column("interception_id", RowId),
    sa.Column("is_background", sa.Boolean, nullable=False),
    _created_at(),
    sa.Column("continuation", sa.Text),
)
sa.Index("idx_aibridged_stored_objects_created_at", stored_objects.c.created_at)

refusals = sa.Table(
    "aibridged_refusals",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    # No foreign key: other identity backends have users, too.
    sa.Column("user_id", sa.String(MAX_USER_ID), primary_key=True),
    sa.Column("reason", sa.String(MAX_REASON), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)

cost_revisions = sa.Table(
    "aibridged_cost_revisions",
    metadata,
    sa.Column("usage_id", RowId, primary_key=True),
    sa.Column("revised_at", UtcDateTime, primary_key=True),
    sa.Column(
        "interception_id",
        RowId,
        sa.ForeignKey(interceptions.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    *_cost(),
    sa.Column("price_version", sa.String(MAX_PRICE_VERSION)),
    sa.Index("idx_aibridged_cost_revisions_interception_id", "interception_id"),
)

spend = sa.Table(
    "aibridged_spend",
    metadata,
    sa.Column("subject", sa.String(MAX_SUBJECT), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("spent_nanos", sa.BigInteger, nullable=False),
    sa.Column("reserved_nanos", sa.BigInteger, nullable=False),
)

budget_alerts = sa.Table(
    "aibridged_budget_alerts",
    metadata,
    sa.Column("limit_id", sa.String(32), primary_key=True),
    sa.Column("subject", sa.String(MAX_SUBJECT), primary_key=True),
    sa.Column("period_start", sa.Date, primary_key=True),
    sa.Column("threshold", sa.Integer, primary_key=True),
    sa.Column("reached_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("used_nanos", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("cap_nanos", sa.BigInteger, nullable=False, server_default="0"),
    # When it may be sent, or sent again; NULL once there is nothing left to do.
    sa.Column("try_at", UtcDateTime),
    sa.Index("idx_aibridged_budget_alerts_try_at", "try_at"),
)

COST_COUNTS = ("priced", "estimated", "unpriced")
"""How many parts of a sum have a cost, an estimated one, or no price."""


def _usage(name: str, keys: Sequence[str]) -> sa.Table:
    """Usage by the hour, day or month, which begins at `starts_at`, and by `keys`."""
    # Those that failed can't be told without the outcome, nor who used a model without the model.
    counts = ("interceptions",) if "outcome" in keys else ("interceptions", "failed")
    of_model = tuple(f"model_{count}" for count in counts) if "model" in keys else ()
    columns = interceptions.c
    return sa.Table(
        f"aibridged_usage_{name}",
        metadata,
        sa.Column("starts_at", UtcDateTime, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        *(sa.Column(key, columns[key].type, nullable=columns[key].nullable) for key in keys),
        # Those that used the model; of these, those that no other row counts.
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (*of_model, *counts, *TOKEN_COUNTS, "cost_nanos", *COST_COUNTS)
        ),
        # The rows of an hour are together in the file.
        sqlite_with_rowid=False,
    )


USAGE_KEYS = (
    "initiator_id",
    "username",
    "api_key_id",
    "provider",
    "provider_name",
    "model",
    "client",
    "credential_kind",
    "credential_hint",
    "outcome",
)
"""What usage is summed up by; the outcome is NULL where it is open."""
_USER = ("initiator_id", "username")
_PROVIDER = ("provider", "provider_name")
FEWER_KEYS = {
    "client": (*_PROVIDER, "client"),
    "model": (*_PROVIDER, "model"),
    "user": _USER,
    "user_model": (*_USER, *_PROVIDER, "model"),
}
"""Of which most totals need no others: in fewer rows, those with the fewest first."""

usage_hours, usage_days, usage_months = (
    _usage(name, USAGE_KEYS) for name in ("hours", "days", "months")
)
usage_days_by, usage_months_by = (
    {by: _usage(f"{name}_by_{by}", keys) for by, keys in FEWER_KEYS.items()}
    for name in ("days", "months")
)

summarised_spans = sa.Table(
    "aibridged_summarised_spans",
    metadata,
    sa.Column("span", sa.String(MAX_SPAN), primary_key=True),
    sa.Column("starts_at", UtcDateTime, primary_key=True),
    sa.Column("is_dirty", sa.Boolean, nullable=False),
    # A lease of the daemon that is at it.
    sa.Column("claimed_by", sa.BigInteger),
    sa.Column("claimed_until", UtcDateTime),
)

prompt_fingerprints = sa.Table(
    "aibridged_prompt_fingerprints",
    metadata,
    sa.Column(
        "interception_id",
        RowId,
        sa.ForeignKey(interceptions.c.id, ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("api", sa.String(MAX_STATUS), nullable=False),
    # No foreign key: the earlier one goes with the retention, before this one.
    sa.Column("base_id", RowId),
    sa.Column("shared", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("blocks", sa.LargeBinary, nullable=False),
)

usual_costs = sa.Table(
    "aibridged_usual_costs",
    metadata,
    sa.Column("initiator_id", sa.String(36), primary_key=True),
    sa.Column("cost_nanos", sa.BigInteger, nullable=False),
    sa.Column("computed_at", UtcDateTime, nullable=False),
)

PARTITIONED = (
    "aibridge_interceptions",
    "aibridge_token_usages",
    "aibridge_user_prompts",
    "aibridge_tool_usages",
    "aibridge_model_thoughts",
    "aibridged_cost_revisions",
    "aibridged_prompt_fingerprints",
)
"""The tables with partitions on PostgreSQL, that of the interceptions first; see `partitions`."""
