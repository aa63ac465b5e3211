"""Mapping of records to tables and columns.

Text is made storable here: what a caller sends may be longer than an index can take, or contain
characters that a database can't store (NUL in PostgreSQL, lone surrogates from headers in both),
or a gateway token, which must not be readable in a record.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from aibridged.records import schema
from aibridged.records.facts import (
    BackgroundRecord,
    InterceptionEnd,
    InterceptionStart,
    Metadata,
    ModelThoughtRecord,
    StoredObjectRecord,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.schema import (
    MAX_CLIENT,
    MAX_CREDENTIAL_HINT,
    MAX_ERROR_MESSAGE,
    MAX_ID,
    MAX_NAME,
    MAX_STATUS,
    MAX_URL,
    MAX_USER_AGENT,
)
from aibridged.records.storable import storable

Time = Callable[[datetime], Any]
"""Converts a time to the driver's type."""

_REMEMBERED = 512

_encode_json = msgspec.json.Encoder().encode


def _optional(text: str | None, length: int | None = None) -> str | None:
    return None if text is None else storable(text[:length])


# Of texts of which there are few.
_name = lru_cache(maxsize=_REMEMBERED)(_optional)


@lru_cache(maxsize=_REMEMBERED)
def _caller(
    username: str | None,
    api_key_id: str | None,
    provider: str,
    provider_name: str,
    model: str,
    client: str,
    user_agent: str | None,
) -> tuple[str | None, ...]:
    """What a caller's starts have in common: the same come again and again."""
    return (
        _optional(username, MAX_NAME),
        _optional(api_key_id, MAX_NAME),
        provider[:MAX_NAME],
        provider_name[:MAX_NAME],
        _optional(model, MAX_NAME),
        client[:MAX_CLIENT],
        _optional(user_agent, MAX_USER_AGENT),
    )


def _json(metadata: Metadata) -> str:
    if str in map(type, metadata.values()):
        metadata = {
            name: storable(value) if isinstance(value, str) else value
            for name, value in metadata.items()
        }
    return _encode_json(metadata).decode()


class Parent(NamedTuple):
    """The interception that a request continues, and the first of its thread."""

    id: str | None = None
    root_id: str | None = None


START_COLUMNS = (
    "id",
    "initiator_id",
    "username",
    "api_key_id",
    "provider",
    "provider_name",
    "model",
    "client",
    "user_agent",
    "client_session_id",
    "credential_kind",
    "credential_hint",
    "correlating_tool_call_id",
    "thread_parent_id",
    "thread_root_id",
    "recorder_id",
    "started_at",
    "metadata",
    "reserved_nanos",
    "charged_to",
)


def start_row(
    start: InterceptionStart, parent: Parent, recorder_id: int, time: Time
) -> tuple[Any, ...]:
    """The values of `START_COLUMNS`."""
    session_id, results = start.client_session_id, start.tool_result_ids
    reservation = start.reservation
    return (
        start.id,
        start.initiator_id,
        *_caller(
            start.username,
            start.api_key_id,
            start.provider,
            start.provider_name,
            start.model,
            start.client,
            start.user_agent,
        ),
        None if session_id is None else storable(session_id[:MAX_NAME]),
        start.credential_kind,
        _name(start.credential_hint, MAX_CREDENTIAL_HINT),
        storable(results[-1][:MAX_NAME]) if results else None,
        *parent,
        recorder_id,
        time(start.started_at),
        _json(start.metadata) if start.metadata else None,
        (reservation.amount or None) if reservation is not None else None,
        (" ".join(reservation.charged_to) or None) if reservation is not None else None,
    )


COST_COLUMNS = ("cost_nanos", "cost_label")
ERROR_COLUMNS = ("error_type", "error_source", "error_code", "error_message")

END_COLUMNS = (
    "ended_at",
    "status_code",
    "outcome",
    "usage_partial",
    "time_to_first_byte_ms",
    *ERROR_COLUMNS,
    *COST_COLUMNS,
)


def end_row(end: InterceptionEnd, time: Time) -> tuple[Any, ...]:
    """The values of `END_COLUMNS`, and the id of the interception that gets them."""
    return (
        time(end.ended_at),
        end.status_code,
        str(end.outcome),  # `value` takes three times as long
        end.usage_partial,
        end.time_to_first_byte_ms,
        *(_NO_ERROR if end.error_type is None else _error(end)),
        end.cost_nanos,
        end.cost_label,
        end.interception_id,
    )


_NO_ERROR: tuple[str | None, ...] = (None,) * len(ERROR_COLUMNS)


def _error(failed: InterceptionEnd | BackgroundRecord) -> tuple[str | None, ...]:
    """The values of `ERROR_COLUMNS`."""
    return (
        failed.error_type,
        failed.error_source,
        _optional(failed.error_code, MAX_NAME),
        _optional(failed.error_message, MAX_ERROR_MESSAGE),
    )


def answered_row(end: InterceptionEnd) -> tuple[Any, ...] | None:
    """The ids of the prompt's response and of the interception; None where there is none."""
    if end.prompt_response_id is None:
        return None
    return storable(end.prompt_response_id[:MAX_ID]), end.interception_id


def noted_row(end: InterceptionEnd) -> tuple[Any, ...]:
    """The metadata that the end adds, and the interception's id."""
    return _json(end.metadata), end.interception_id


def _usage_row(usage: TokenUsageRecord, time: Time) -> tuple[Any, ...]:
    return (
        usage.id,
        usage.interception_id,
        storable(usage.provider_response_id[:MAX_ID]),
        None if usage.provider_model is None else storable(usage.provider_model[:MAX_NAME]),
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.cost_nanos,
        usage.cost_label,
        usage.price_version,
        _json(usage.metadata) if usage.metadata else None,
        time(usage.created_at),
    )


def prompt_row(
    prompt: UserPromptRecord, time: Time, response_id: str | None = None
) -> tuple[Any, ...]:
    """The row of a prompt, with its response's id where that is known by now."""
    answer = prompt.provider_response_id if response_id is None else response_id
    return (
        prompt.id,
        prompt.interception_id,
        storable(answer[:MAX_ID]) if answer else "",
        storable(prompt.prompt),
        _json(prompt.metadata) if prompt.metadata else None,
        time(prompt.created_at),
    )


def _tool_row(tool: ToolUsageRecord, time: Time) -> tuple[Any, ...]:
    return (
        tool.id,
        tool.interception_id,
        storable(tool.provider_response_id[:MAX_ID]),
        _optional(tool.server_url, MAX_URL),
        storable(tool.tool[:MAX_NAME]),
        storable(tool.input),
        tool.injected,
        _optional(tool.invocation_error),
        _optional(tool.provider_tool_call_id, MAX_NAME),
        _optional(tool.provider_item_id, MAX_ID),
        _json(tool.metadata) if tool.metadata else None,
        time(tool.created_at),
    )


def _thought_row(thought: ModelThoughtRecord, time: Time) -> tuple[Any, ...]:
    return (
        thought.id,
        thought.interception_id,
        storable(thought.content),
        _json(thought.metadata) if thought.metadata else None,
        time(thought.created_at),
    )


def is_charged(background: BackgroundRecord) -> bool:
    """Whether it tells what the response has cost: a last status does, if that is known."""
    return background.outcome is not None and background.cost_label is not None


def background_values(background: BackgroundRecord) -> dict[str, Any]:
    """The bound parameters of the statement that notes a status."""
    return {
        "interception": background.interception_id,
        "status": storable(background.status[:MAX_STATUS]),
        "new_outcome": background.outcome and background.outcome.value,
        "new_partial": background.usage_partial,
        "is_last": background.outcome is not None,
        "is_charged": is_charged(background),
        "new_cost_nanos": background.cost_nanos,
        "new_cost_label": background.cost_label,
        **{
            f"new_{name}": value
            for name, value in zip(ERROR_COLUMNS, _error(background), strict=True)
        },
    }


def _stored_object_row(made: StoredObjectRecord, time: Time) -> tuple[Any, ...]:
    return (
        made.provider_name[:MAX_NAME],
        object_key(made.object_id),
        made.initiator_id,
        made.interception_id,
        made.is_background,
        time(made.created_at),
        None if made.continuation is None else storable(made.continuation),
    )


def object_key(object_id: str) -> str:
    """The id of a stored object as it is kept: the hash of what an index can't hold."""
    if len(object_id) <= MAX_NAME and object_id.isascii() and object_id.isprintable():
        return object_id
    return f"sha256:{sha256(object_id.encode('utf-8', 'replace')).hexdigest()}"


ROWS: dict[type, tuple[sa.Table, Callable[[Any, Time], tuple[Any, ...]]]] = {
    TokenUsageRecord: (schema.token_usages, _usage_row),
    UserPromptRecord: (schema.user_prompts, prompt_row),
    ToolUsageRecord: (schema.tool_usages, _tool_row),
    ModelThoughtRecord: (schema.model_thoughts, _thought_row),
    StoredObjectRecord: (schema.stored_objects, _stored_object_row),
}
"""For each kind of record its table, and the function that makes its row."""
