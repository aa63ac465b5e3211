"""Runs the tools that a model calls, one after the other, and records the results."""

from collections.abc import Sequence

from aibridged.mcp.tools import Tool, Toolbox, ToolResult
from aibridged.observe.scope import span
from aibridged.observe.spans import SpanName
from aibridged.pipeline.bridge import Interception
from aibridged.pipeline.components import Components
from aibridged.records.facts import ToolRun
from aibridged.wire.bounds import MAX_ELEMENTS, has_more_elements
from aibridged.wire.collector import is_json
from aibridged.wire.injection.dialogue import Call, Result
from aibridged.wire.shorten import shortened

MAX_ARGUMENTS = 1024 * 1024
"""Characters of a call's arguments, several times what models write; a tool takes them at once."""

_TOO_LARGE = ToolResult(
    f"The arguments are too large: at most {MAX_ARGUMENTS} characters and {MAX_ELEMENTS} values.",
    is_error=True,
)
_NO_OBJECT = ToolResult("The arguments are not a JSON object.", is_error=True)
_LAST = (
    "\n\n[No more calls of this gateway's tools are allowed in this response. Answer with "
    "what you know now.]"
)
ABANDONED = "The request ended while the tool ran."


class ToolCalls:
    """The tool calls of one request."""

    def __init__(
        self, components: Components, interception: Interception, toolbox: Toolbox
    ) -> None:
        self._monotonic = components.clock.monotonic
        self._metrics = components.metrics
        self._interception = interception
        self._toolbox = toolbox
        self._tools = {tool.name: tool for tool in toolbox.tools}

    async def run(self, calls: Sequence[Call]) -> list[Result]:
        """Run the calls."""
        results = []
        for call in calls:
            result = await self._run(call, self._tools[call.name])
            results.append(Result(call, result.text, result.is_error))
        return results

    async def _run(self, call: Call, tool: Tool) -> ToolResult:
        refusal = _refusal(call.arguments)
        if refusal is not None:
            self._note(call, tool, refusal, None)
            return refusal
        began = self._monotonic()
        result = ToolResult(ABANDONED, is_error=True)
        self._interception.tool = call.name
        try:
            with span(SpanName.TOOL_CALL, _attributes(tool)) as calling:
                result = await self._toolbox.call(tool, call.arguments.encode())
                if calling is not None and result.is_error:
                    calling.annotate({"error.type": "tool_error"})
            return result
        finally:
            self._interception.tool = None
            self._note(call, tool, result, self._monotonic() - began)

    def _note(self, call: Call, tool: Tool, result: ToolResult, seconds: float | None) -> None:
        self._interception.runs[call.id] = ToolRun(
            tool=tool.tool,
            call_id=call.id,
            server_url=tool.server_url,
            error=result.text if result.is_error else None,
            seconds=seconds,
        )
        if self._metrics is not None and seconds is not None:
            start = self._interception.start
            self._metrics.tool_invoked(start.provider_name, start.model, tool.server, call.name)


def as_last(results: Sequence[Result]) -> list[Result]:
    """The results, which tell the model that there will be no others."""
    return [each._replace(text=each.text + _LAST) for each in results]


def _refusal(arguments: str) -> ToolResult | None:
    """What the model is told of arguments that no tool is called with."""
    if len(arguments) > MAX_ARGUMENTS:
        return _TOO_LARGE
    if not (arguments.lstrip().startswith("{") and is_json(arguments)):
        return _NO_OBJECT
    json = arguments.encode()
    is_crowded = has_more_elements(json, MAX_ELEMENTS)
    if is_crowded and has_more_elements(shortened(json), MAX_ELEMENTS):  # a text may have commas
        return _TOO_LARGE
    return None


def _attributes(tool: Tool) -> dict[str, str]:
    return {
        "mcp_proxy_name": tool.server,
        "mcp_server_name": tool.server,
        "mcp_server_url": tool.server_url,
        "mcp_tool_name": tool.tool,
    }
