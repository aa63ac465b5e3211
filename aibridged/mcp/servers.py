"""One caller's MCP sessions and their tools.

The names are those of Coder's AI Bridge: a manager has one proxy per server.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from mcp_types import CallToolResult

from aibridged.config.options import McpServerSettings
from aibridged.mcp.health import Access, ServerHealth
from aibridged.mcp.limits import Limits
from aibridged.mcp.results import as_tool_result, cut
from aibridged.mcp.selection import select
from aibridged.mcp.session import ServerFailedError, StreamableHTTPServerProxy
from aibridged.mcp.tools import Tool, Toolbox, ToolResult
from aibridged.observe.scope import span
from aibridged.observe.spans import SpanName
from aibridged.wire.bounds import UNREADABLE

_PATIENCE_S = 2.0


class ServerProxyManager:
    """The `CallerTools` of one caller. A server that failed isn't tried again by this manager."""

    def __init__(
        self,
        initiator_id: str,
        servers: Sequence[McpServerSettings],
        limits: Limits,
        shared: ServerHealth,
    ) -> None:
        self._initiator_id = initiator_id
        self._servers = servers
        self._limits = limits
        self._shared = shared
        self._proxies: dict[str, StreamableHTTPServerProxy] = {}
        self._tools: dict[str, Sequence[Tool]] = {}
        self._toolbox: Toolbox | None = None
        self._opening: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._no_longer_waiting = asyncio.Event()
        self._reopening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self) -> Toolbox | None:
        if self._opening is None:
            self._opening = self._shared.tasks.start(self._open_all(), "opening MCP sessions")
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(_PATIENCE_S, self._wait_no_longer)
        await self._no_longer_waiting.wait()
        return self._toolbox

    def close(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._opening is not None:
            self._opening.cancel()
        for proxy in self._proxies.values():
            proxy.close()

    async def _open_all(self) -> None:
        try:
            with span(SpanName.MCP_INIT, {"user_id": self._initiator_id}):
                accesses = await self._shared.accesses(self._initiator_id, self._servers)
                awaited = {each.server.id for each in accesses if self._shared.is_well(each)}
                if not awaited:
                    self._wait_no_longer()
                async with asyncio.TaskGroup() as group:
                    for access in accesses:
                        group.create_task(self._open(access, awaited))
        finally:
            # Servers that were late join now, all at once.
            self._gather()
            self._no_longer_waiting.set()

    async def _open(self, access: Access, awaited: set[str]) -> None:
        shared, server = self._shared, access.server
        proxy = StreamableHTTPServerProxy(access, self._limits, shared.tls, shared.clock)
        self._proxies[server.id] = proxy
        try:
            self._tools[server.id] = await self._tools_of(proxy)
        except ServerFailedError as error:
            proxy.close()
            shared.failed(access, str(error))
        else:
            shared.did_well(access)
        awaited.discard(server.id)
        if not awaited:
            self._wait_no_longer()

    async def _tools_of(self, proxy: StreamableHTTPServerProxy) -> Sequence[Tool]:
        shared, server = self._shared, proxy.access.server
        listed = await proxy.open(shared.tasks)
        most = self._limits.max_tools
        chosen = await asyncio.to_thread(select, server, listed, shared.schemas, most)
        if chosen.error is not None:
            raise ServerFailedError(chosen.error)
        shared.left_out(server.id, chosen.faults)
        return chosen.tools

    def _wait_no_longer(self) -> None:
        """Stop waiting: requests go on with the tools that are there."""
        if not self._no_longer_waiting.is_set():
            self._gather()
            self._no_longer_waiting.set()

    def _gather(self) -> None:
        tools = [tool for each in self._servers for tool in self._tools.get(each.id, ())]
        self._toolbox = _Toolbox(tuple(tools), self) if tools else None

    async def call(self, tool: Tool, arguments: bytes) -> ToolResult:
        """Call a tool with the model's arguments. Failures are results."""
        try:
            values = msgspec.json.decode(arguments, type=dict) if arguments.strip() else {}
        except UNREADABLE:
            return ToolResult("The tool was not run: its arguments are not a JSON object.", True)
        try:
            result = await self._call(tool, values)
        except ServerFailedError as error:
            said = f"The tool {tool.tool} of the MCP server {tool.server} failed: {error}."
            return ToolResult(cut(said, self._limits.result_bytes), is_error=True)
        told = as_tool_result(result, self._limits.result_bytes)
        if told.is_error:  # then it is recorded
            text = self._proxies[tool.server].access.censored(told.text)
            return ToolResult(text, is_error=True)
        return told

    async def _call(self, tool: Tool, arguments: dict[str, Any]) -> CallToolResult:
        proxy = self._proxies[tool.server]
        if not proxy.is_open:
            proxy = await self._reopened(proxy, by_server=False)
        try:
            return await proxy.call(tool.tool, arguments)
        except ServerFailedError as error:
            if not error.session_ended:
                raise
        proxy = await self._reopened(proxy, by_server=True)
        return await proxy.call(tool.tool, arguments)

    async def _reopened(
        self, ended: StreamableHTTPServerProxy, *, by_server: bool
    ) -> StreamableHTTPServerProxy:
        """A session in place of one that the server, or else the network, has ended.

        Calls that find the same session ended get the same new one.
        """
        shared, access = self._shared, ended.access
        async with self._reopening[access.server.id]:
            proxy = self._proxies[access.server.id]
            if proxy is ended and (by_server or not proxy.is_open):
                if by_server:
                    shared.session_ended(access)
                ended.retire()
                proxy = StreamableHTTPServerProxy(access, self._limits, shared.tls, shared.clock)
                self._proxies[access.server.id] = proxy
                await proxy.open(shared.tasks)
            return proxy


class _Toolbox:
    """The tools of a caller at one time."""

    def __init__(self, tools: Sequence[Tool], manager: ServerProxyManager) -> None:
        self.tools = tools
        self._manager = manager

    async def call(self, tool: Tool, arguments: bytes) -> ToolResult:
        return await self._manager.call(tool, arguments)
