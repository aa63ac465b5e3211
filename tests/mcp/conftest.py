"""MCP servers to connect to: real ones, and one that does whatever a test wants."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from aiohttp import web
from loguru import logger
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ImageContent
from zeromcp import McpServer, McpToolError

from aibridged.clock import SystemClock
from aibridged.config.options import McpServerSettings, Settings
from aibridged.mcp.credentials import no_credentials
from aibridged.mcp.factory import McpTools
from aibridged.mcp.health import Access
from aibridged.mcp.limits import Limits
from aibridged.mcp.session import StreamableHTTPServerProxy
from aibridged.tasks import Tasks
from tests.waiting import until

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
Answer = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


class Served:
    """An ASGI application on a free port, in a thread of its own."""

    def __init__(self, application: Any) -> None:
        config = uvicorn.Config(application, port=0, log_level="critical", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/mcp"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class RealServer:
    """A server written with the official SDK, and what happened in it."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        server = MCPServer("real")

        @server.tool()
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        @server.tool()
        def fail() -> str:
            """Fail."""
            raise ToolError("out of paper")

        @server.tool()
        def picture() -> list[Any]:
            """Show a picture."""
            return [ImageContent(type="image", data="aGVsbG8=", mime_type="image/png"), "a dog"]

        @server.tool()
        def large(count: int) -> str:
            """Say a lot."""
            return "x" * count

        @server.tool()
        async def wait() -> str:
            """Never end."""
            self.happened.append("waiting")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.happened.append("cancelled")
                raise
            return "done"

        self._served = Served(server.streamable_http_app())
        self.url = self._served.url
        self.stop = self._served.stop


@pytest.fixture(scope="session")
def real_server() -> Iterator[RealServer]:
    """The official SDK's server, which speaks the protocol's newest version."""
    server = RealServer()
    yield server
    server.stop()


class ForeignServer:
    """A server of somebody else's, who wrote the protocol anew: of 2025, with sessions."""

    def __init__(self) -> None:
        self._server = McpServer("foreign")

        @self._server.tool
        def shout(text: str) -> str:
            """Say it louder."""
            return text.upper()

        @self._server.tool
        def fail() -> str:
            """Fail."""
            raise McpToolError("out of paper")

        self._server.serve("127.0.0.1", 0)
        # It has no way to ask for the port that the system chose.
        self.url = f"http://127.0.0.1:{self._server._http_server.server_address[1]}/mcp"
        self.stop = self._server.stop


@pytest.fixture(scope="session")
def foreign_server() -> Iterator[ForeignServer]:
    server = ForeignServer()
    yield server
    server.stop()


class TinyServer:
    """A server of the protocol's sessions, whose answer to a method, or to all (*), may be others.

    `received` are the messages with the headers they came with; `sessions` are those under way.
    """

    def __init__(self) -> None:
        self.tools: list[dict[str, Any]] = [tool("echo")]
        self.answers: dict[str, Answer] = {}
        self.received: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.sessions: set[str] = set()
        self.gets = 0
        self.say = say
        self._made = 0
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.01
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/mcp"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def left(self) -> None:
        """Return once nobody is connected."""
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        await until(lambda: not server.connections)

    def methods(self) -> list[str]:
        return [message["method"] for message, _ in self.received]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "DELETE":
            if "DELETE" in self.answers:
                return await self.answers["DELETE"](request, None)
            self.sessions.discard(request.headers["Mcp-Session-Id"])
            return web.Response(status=204)
        if request.method == "GET":
            self.gets += 1
            return web.Response(status=405)
        message = json.loads(await request.read())
        self.received.append((message, dict(request.headers)))
        answer = self.answers.get(message["method"], self.answers.get("*", self.usual))
        return await answer(request, message)

    async def usual(self, request: web.BaseRequest, message: dict[str, Any]) -> web.StreamResponse:
        method = message["method"]
        if method.startswith("notifications/"):
            return web.Response(status=202)
        if method == "initialize":
            self._made += 1
            session = f"session-{self._made}"
            self.sessions.add(session)
            result = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "tiny", "version": "1"},
            }
            return say(message, result, headers={"Mcp-Session-Id": session})
        if method in ("tools/list", "tools/call"):
            if request.headers.get("Mcp-Session-Id") not in self.sessions:
                return web.Response(status=404)
            if method == "tools/list":
                return say(message, {"tools": self.tools})
            text = json.dumps(message["params"]["arguments"])
            return say(message, {"content": [{"type": "text", "text": text}]})
        return web.json_response(
            {
                "jsonrpc": "2.0",
                "id": message["id"],
                "error": {"code": -32601, "message": "Method not found"},
            }
        )


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": f"{name}s", "inputSchema": SCHEMA, **fields}


def say(message: dict[str, Any], result: Any, **options: Any) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result}, **options)


@pytest.fixture
async def tiny() -> AsyncIterator[TinyServer]:
    server = TinyServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def offer() -> AsyncIterator[Callable[..., McpTools]]:
    """Makes what offers the tools of servers: `offer({"docs": url}, mcp_max_tools=3)`.

    Instead of a URL there may be a server's settings.
    """
    made: list[McpTools] = []

    def offer(
        servers: dict[str, str | dict[str, Any]], credentials: Any = no_credentials, **changes: Any
    ) -> McpTools:
        listed = tuple(
            McpServerSettings(name, **({"url": each} if isinstance(each, str) else each))
            for name, each in servers.items()
        )
        settings = replace(Settings(), mcp_servers=listed, **changes)
        made.append(McpTools(settings, SystemClock(), credentials))
        return made[-1]

    yield offer
    for each in made:
        await each.close()


@pytest.fixture
async def open_tools(offer) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Opens a caller's tools, and closes them after the test."""
    opened = []

    async def open_tools(servers: dict[str, Any], **options: Any) -> Any:
        caller = offer(servers, **options).of("somebody")
        opened.append(caller)
        return await caller.open()

    yield open_tools
    for each in opened:
        each.close()


@pytest.fixture
async def let_pass() -> Callable[[float], None]:
    """Lets seconds pass for the timers of the loop, at once."""
    loop, skipped = asyncio.get_running_loop(), 0.0
    real = loop.time

    def let_pass(seconds: float) -> None:
        nonlocal skipped
        skipped += seconds

    loop.time = lambda: real() + skipped  # type: ignore[method-assign]
    return let_pass


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The warnings and errors that are logged."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


@pytest.fixture
def speaking_modern(tiny) -> TinyServer:
    """The tiny server, as one of the protocol's newest version, which knows no sessions."""

    async def discover(request: web.BaseRequest, message: dict[str, Any]) -> web.StreamResponse:
        result = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "tiny", "version": "1"},
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
        }
        return say(message, result)

    async def list_tools(request: web.BaseRequest, message: dict[str, Any]) -> web.StreamResponse:
        return say(
            message,
            {
                "tools": tiny.tools,
                "resultType": "complete",
                "ttlMs": 0,
                "cacheScope": "private",
            },
        )

    tiny.answers |= {"server/discover": discover, "tools/list": list_tools}
    return tiny


@pytest.fixture
async def session():
    """Makes sessions: `session(url, token=…)`; they are closed after the test."""
    tasks, made = Tasks(), []

    def make(url, *, token=None, headers=(), **changes):
        server = McpServerSettings("docs", url, headers=headers)
        proxy = StreamableHTTPServerProxy(
            Access(server, token),
            Limits.of(replace(Settings(), **changes)),
            ssl.create_default_context(),
            SystemClock(),
        )
        made.append(proxy)
        return proxy

    make.tasks = tasks
    yield make
    for proxy in made:
        proxy.close()
    await tasks.idle()
