"""Selection of the tools that are offered: allow and deny expressions, limits, valid schemas."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_types import Tool as ListedTool

from aibridged.config.mcp_servers import without_query
from aibridged.config.options import McpServerSettings
from aibridged.mcp.names import model_name
from aibridged.mcp.schemas import Schemas, mended
from aibridged.mcp.tools import Tool

_MAX_DESCRIPTION = 8192  # characters


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected tools by name. `hidden` are the names that the rules exclude.

    `faults` says what is wrong with tools that a provider would refuse. `error` says why no tool of
    the server is offered at all.
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
    server: McpServerSettings, listed: Sequence[ListedTool], schemas: Schemas, max_tools: int
) -> Selection:
    """Select the tools; none where the rules let more than `max_tools` through.

    Blocks for milliseconds per new tool. Thread-safe.
    """
    passed = {each.name: each for each in listed if is_offered(server, each.name)}
    hidden = sorted({each.name for each in listed} - passed.keys())
    if len(passed) > max_tools:
        return Selection(
            hidden=hidden,
            error=f"it offers {len(passed)} tools, and {max_tools} are allowed; choose some with"
            " tool_allow_regex, or raise --aibridge-mcp-max-tools",
        )
    tools, faults = [], []
    for each in passed.values():
        encoded, fault = _encoded(each, schemas)
        if fault is not None:
            faults.append(f"{each.name[:64]!r}: {fault}")
            continue
        tools.append(
            Tool(
                name=model_name(server.id, each.name),
                server=server.id,
                server_url=without_query(server.url),
                tool=each.name,
                description=(each.description or each.title or "")[:_MAX_DESCRIPTION],
                input_schema=encoded,
            )
        )
    tools.sort(key=lambda tool: tool.name)
    return Selection(tuple(tools), hidden, faults)


def _encoded(tool: ListedTool, schemas: Schemas) -> tuple[bytes, str | None]:
    """The input schema as JSON, and what is wrong with it or with the name."""
    if not tool.name:
        return b"", "it has no name"
    try:
        schema = mended(tool.input_schema)
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        encoded = text.encode()
    except (ValueError, RecursionError):
        return b"", "its schema can't be written as JSON"
    return encoded, schemas.fault(schema, encoded)
