"""Value types: the tools offered to a caller, and the results of calls."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Tool(msgspec.Struct, frozen=True):
    """One tool of one server.

    `name` is the model's name for it (`bmcp_<server>_<tool>`, at most 64 characters), `tool` is the
    server's own name. `input_schema` is a JSON object that all providers accept.
    """

    name: str
    server: str
    server_url: str
    tool: str
    description: str
    input_schema: bytes


class ToolResult(msgspec.Struct, frozen=True):
    """The result for the model; with `is_error` the text says what went wrong."""

    text: str
    is_error: bool = False


class Toolbox(Protocol):
    """The tools of one caller, in a stable order, and the way to call them."""

    @property
    def tools(self) -> Sequence[Tool]: ...

    async def call(self, tool: Tool, arguments: bytes) -> ToolResult:
        """Call a tool with the model's arguments, a JSON object. Failures are results."""
        ...


class CallerTools(Protocol):
    """One caller's access to their tools, for the lifetime of their bridge."""

    async def open(self) -> Toolbox | None:
        """The tools, None if there are none. A failure costs only that server's tools.

        The first call connects to the servers, all at once. A call waits until each has listed its
        tools or failed, for at most 2 seconds from the first call; a server that failed its last
        caller isn't waited for at all. A call that doesn't wait long enough gets the tools that are
        there, and late ones join once, when all servers are done: for the sake of prompt caches, a
        list of tools changes at most once in a bridge's life, and not at all while the servers do
        well.
        """
        ...

    def close(self) -> None:
        """Close the sessions; no tool is called any more."""
        ...
