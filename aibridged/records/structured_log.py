"""Structured logging of records as JSON lines for a SIEM, with the fields of Coder's AI Bridge.

It contains prompts and responses, and is off unless an operator enables it.
"""

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
}


def log_record(record: Record) -> None:
    """Log a record, with its type and all of its fields, unless it is the gateway's own affair."""
    if isinstance(record, StoredObjectRecord):
        return
    logger.bind(**_fields(record)).info(MESSAGE)


def _fields(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = {"record_type": record.__struct_config__.tag}
    for name, value in msgspec.structs.asdict(record).items():
        # A start's id is the interception's; the ids of other records are of no use in a log.
        if name == "id":
            if isinstance(record, InterceptionStart):
                fields["interception_id"] = value
            continue
        fields[_NAMES.get(name, name)] = value.isoformat() if isinstance(value, datetime) else value
    return fields
