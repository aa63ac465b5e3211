"""Tool lists of servers, read entry by entry, so that a wrong entry costs that tool alone.

The SDK reads a response as a whole, on the event loop, and refuses a list for one of its entries.
So the entries are taken out of a response before the SDK gets it, and read in a thread.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp_types import ListToolsResult, methods
from mcp_types import Tool as ListedTool
from mcp_types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from aibridged.mcp.json_rpc import fields_of, items_of

MAX_ENTRIES = 20_000
"""Entries of a list that are kept; one more says that there are others."""

_LIST = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
_MIRRORED = b"x-mcp-header"
_UNREADABLE = b"{"
_MAX_REASON = 200  # characters

_encode = msgspec.json.Encoder().encode


class UnusableEntryError(Exception):
    """An entry is no tool; the message says why."""


class ToolList(NamedTuple):
    """The entries of a server's list as JSON, unread, and the protocol version they are in."""

    version: str
    entries: Sequence[bytes]


class _Name(msgspec.Struct):
    name: str


_decode_name = msgspec.json.Decoder(_Name).decode


def name_of(entry: bytes) -> str | None:
    """The tool's name, None where there is none."""
    try:
        return _decode_name(entry).name
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        name = json.loads(entry)["name"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return name if isinstance(name, str) else None


def read_tool(entry: bytes, version: str) -> ListedTool:
    """Read an entry by the rules of a protocol version. Blocks for less than a millisecond.

    Raises:
        UnusableEntryError: the protocol doesn't allow it.
    """
    try:
        result = {**_LIST, "tools": [json.loads(entry)]}
        if version in MODERN_PROTOCOL_VERSIONS:
            methods.validate_server_result("tools/list", version, result)
        else:  # those before the last one are read by its rules
            methods.validate_server_result("tools/list", LATEST_HANDSHAKE_VERSION, result)
        (tool,) = ListToolsResult.model_validate(result, by_name=False).tools
    except ValidationError as error:
        raise UnusableEntryError(_reason(error)) from None
    except (ValueError, RecursionError):
        raise UnusableEntryError("it is not valid JSON, or nests too deep") from None
    if version in MODERN_PROTOCOL_VERSIONS:
        reason = find_invalid_x_mcp_header(tool.input_schema)
        if reason is not None:
            raise UnusableEntryError(_shortened(reason))
    return tool


def _reason(error: ValidationError) -> str:
    """The first reason, without the value that is wrong."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(each) for each in first["loc"][2:])
    message = first["msg"].removeprefix("Value error, ")  # in front of a validator's own words
    return _shortened(f"{where}: {message}" if where else message)


def _shortened(reason: str) -> str:
    return "".join(each if each.isprintable() else " " for each in reason[:_MAX_REASON])


class Listing:
    """Takes the tools out of a server's responses; `entries` are those of all pages."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.version = LATEST_HANDSHAKE_VERSION

    def take(self, message: bytes) -> bytes:
        """Take the tools out of a message; returns the rest of it, for the SDK.

        Blocks for milliseconds. What is no JSON is cut short: the SDK would say no more about all
        of it, and take longer.
        """
        try:
            fields = fields_of(message)
            result = fields_of(fields["result"]) if "result" in fields else {}
            most = MAX_ENTRIES + 1 - len(self.entries)
            tools = items_of(result["tools"], most) if "tools" in result else None
        except (ValueError, RecursionError):
            return _UNREADABLE
        if tools is None:
            return message
        self.entries += tools
        mirrored = [each for each in map(self._mirrored, tools) if each is not None]
        result["tools"] = msgspec.Raw(_encode(mirrored))
        fields["result"] = msgspec.Raw(_encode(result))
        return _encode(fields)

    def _mirrored(self, entry: bytes) -> dict[str, Any] | None:
        """So much of a tool as the SDK needs to repeat its arguments in headers."""
        if _MIRRORED not in entry or self.version not in MODERN_PROTOCOL_VERSIONS:
            return None
        try:
            tool = read_tool(entry, self.version)
        except UnusableEntryError:
            return None
        schema: dict[str, Any] = {"type": "object"}
        for path, header in x_mcp_header_map(tool.input_schema).items():
            property_ = schema
            for name in path:
                property_ = property_.setdefault("properties", {}).setdefault(name, {})
            property_ |= {"type": "string", "x-mcp-header": header}
        return {"name": tool.name, "inputSchema": schema}
