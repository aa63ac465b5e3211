"""Structured logging of records as JSON lines for a SIEM, with the fields of Coder's AI Bridge.

It contains prompts and responses, and is off unless an operator enables it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from loguru import logger

from aibridged.records.facts import InterceptionStart, Record, StoredObjectRecord

MESSAGE = "interception log"

_NAMES = {
    "provider_response_id": "msg_id",
    "prompt_response_id": "prompt_msg_id",
    "provider_tool_call_id": "tool_call_id",
    "provider_item_id": "item_id",
}
# Texts that Coder's lines have even where there are none.
_NEVER_NULL = frozenset(
    {"client_session_id", "tool_call_id", "item_id", "server_url", "invocation_error"}
)
_USER_AGENT = "request_user_agent"


def with_user_agent(metadata: Mapping[str, Any], user_agent: str | None) -> dict[str, Any]:
    """The metadata of an interception with its User-Agent, where Coder has it."""
    return {**metadata, _USER_AGENT: user_agent} if user_agent else dict(metadata)


def log_record(record: Record) -> None:
    """Log a record, with its type and all of its fields, unless it is the gateway's own affair."""
    if isinstance(record, StoredObjectRecord):
        return
    logger.bind(**_fields(record)).info(MESSAGE)


def _fields(record: Record) -> dict[str, Any]:
    given = msgspec.structs.asdict(record)
    fields: dict[str, Any] = {"record_type": record.__struct_config__.tag}
    if isinstance(record, InterceptionStart):
        # A start's id is the interception's; the ids of other records are of no use in a log.
        fields["interception_id"] = record.id
        fields["correlating_tool_call_id"] = record.correlating_tool_call_id or ""
        given["metadata"] = with_user_agent(record.metadata, given.pop("user_agent"))
        del given["tool_result_ids"], given["reservation"]
    given.pop("id", None)
    for old, value in given.items():
        name = _NAMES.get(old, old)
        if value is None and name in _NEVER_NULL:
            value = ""
        fields[name] = value.isoformat() if isinstance(value, datetime) else value
    return fields
