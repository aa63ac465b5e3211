"""Value types: the tools offered to a caller, and the results of calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of one server.

    `name` is what the model knows it by (`bmcp_<server>_<tool>`, 64 characters at most), `tool` is
    the server's own name for it. `input_schema` is a JSON object that all providers take.
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


class CallerTools(Protocol):
    """One caller's way to their tools, for as long as their bridge lives."""

    async def open(self) -> Toolbox | None:
        """The tools there are, None if there are none. Whatever fails costs only a server's tools.

        The first call connects to the servers, all at once. A call waits until each has listed its
        tools or failed, for 2 seconds from the first call at most; a server that failed its last
        caller isn't waited for at all. Who doesn't wait long enough gets the tools that are there,
        and what came late joins once, when all servers are done: as prompt caches want it, a list
        of tools changes at most once in a bridge's life, and not at all while the servers do well.
        """
        ...

    def close(self) -> None:
        """Let go of the servers; nobody calls a tool any more."""
        ...
