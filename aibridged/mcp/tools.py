"""What MCP servers offer one caller, and what comes of calling it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of one server.

    `name` is what the model knows it by (`bmcp_<server>_<tool>`, 64 characters at most), `tool` is
    the server's own name for it. `input_schema` is a JSON object, as the server sent it.
    """

    name: str
    server: str
    server_url: str
    tool: str
    description: str
    input_schema: bytes


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told; with `is_error` the text says what went wrong."""

    text: str
    is_error: bool = False


class Toolbox(Protocol):
    """The tools of one caller, in a stable order, and the way to run them."""

    @property
    def tools(self) -> Sequence[Tool]: ...

    async def call(self, tool: Tool, arguments: bytes) -> ToolResult:
        """Run a tool with the model's arguments, a JSON object. Whatever fails is a result."""
        ...
