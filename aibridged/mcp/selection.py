"""Selection of the tools that are offered: allow and deny expressions, limits, valid entries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_types import Tool as ListedTool

from aibridged.config.mcp_servers import without_query
from aibridged.config.options import McpServerSettings
from aibridged.counted import counted, noun
from aibridged.mcp.listing import ToolList, UnusableEntryError, name_of, read_tool
from aibridged.mcp.names import MAX_NAME, model_name
from aibridged.mcp.schemas import Schemas, mended
from aibridged.mcp.tools import Tool

_MAX_DESCRIPTION = 8192  # characters


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected tools by name. `hidden` are the names that the rules exclude.

    `faults` says which entries of the list are left out and why: they violate the protocol, or a
    provider would refuse them. `error` says why no tool of the server is offered at all.
    """

    tools: Sequence[Tool] = ()
    hidden: Sequence[str] = ()
    faults: Sequence[str] = ()
    error: str | None = None


def is_offered(server: McpServerSettings, tool: str) -> bool:
    """Whether a tool of this name is offered: deny wins over allow, neither means all."""
    deny, allow = server.tool_deny_regex, server.tool_allow_regex
    if deny is not None and deny.search(tool):
        return False
    return allow is None or allow.search(tool) is not None


def select(
    server: McpServerSettings, listed: ToolList, schemas: Schemas, max_tools: int
) -> Selection:
    """Select the tools; none where the rules let more than `max_tools` through.

    Blocks for milliseconds per new tool. Thread-safe.
    """
    passed: dict[str | int, bytes] = {}  # by the name, or by the number of what has none
    hidden: set[str] = set()
    for number, entry in enumerate(listed.entries, 1):
        name = name_of(entry)
        if name is not None and not is_offered(server, name):
            hidden.add(name)
        else:
            passed[number if name is None else name] = entry
    if len(passed) > max_tools:
        return Selection(
            hidden=sorted(hidden),
            error=f"it offers {counted(len(passed), 'tool')}, and {max_tools} "
            f"{noun(max_tools, 'is', 'are')} allowed; choose some with"
            " tool_allow_regex, or raise --aibridge-mcp-max-tools",
        )
    tools, faults = [], []
    for key, entry in passed.items():
        try:
            tools.append(_tool(server, read_tool(entry, listed.version), schemas))
        except UnusableEntryError as error:
            called = f"entry {key}" if isinstance(key, int) else repr(key[:MAX_NAME])
            faults.append(f"{called}: {error}")
    if faults and not tools:
        reason = f"none of its tools can be offered: {faults[0]}"
        return Selection(hidden=sorted(hidden), faults=faults, error=reason)
    tools.sort(key=lambda tool: tool.name)
    return Selection(tuple(tools), sorted(hidden), faults)


def _tool(server: McpServerSettings, listed: ListedTool, schemas: Schemas) -> Tool:
    """The tool as it is offered, or UnusableEntryError."""
    if not listed.name:
        raise UnusableEntryError("it has no name")
    try:
        schema = mended(listed.input_schema)
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        encoded = text.encode()
    except (ValueError, RecursionError):
        raise UnusableEntryError("its schema can't be written as JSON") from None
    fault = schemas.fault(schema, encoded)
    if fault is not None:
        raise UnusableEntryError(fault)
    return Tool(
        name=model_name(server.id, listed.name),
        server=server.id,
        server_url=without_query(server.url),
        tool=listed.name,
        description=(listed.description or listed.title or "")[:_MAX_DESCRIPTION],
        input_schema=encoded,
    )
