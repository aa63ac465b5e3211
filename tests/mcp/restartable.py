"""An MCP server as a process, which a test restarts: `python restartable.py KIND PORT`.

It writes a line once it listens.
"""

import asyncio
import os
import signal
import socket
import sys
from http.server import HTTPServer
from typing import Any


def official(port: int) -> None:
    """The official SDK's server, as one of its versions that know only sessions."""
    import uvicorn
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("official")

    @server.tool()
    def echo(text: str) -> str:
        return f"{text} {os.getpid()}"

    application = server.streamable_http_app()

    async def of_2025(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        if headers.get(b"mcp-protocol-version", b"").startswith(b"2026"):
            start = {"type": "http.response.start", "status": 400, "headers": []}
            await send(start)
            await send({"type": "http.response.body", "body": b"Unsupported protocol version"})
            return
        await application(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", port))
    http = uvicorn.Server(uvicorn.Config(of_2025, log_level="critical", ws="none"))
    print("listening", flush=True)
    asyncio.run(http.serve(sockets=[listening]))


def foreign(port: int) -> None:
    """A server that shares no code with the SDK."""
    from zeromcp import McpServer

    server = McpServer("foreign")
    server.require_streamable_http_session = True

    @server.tool
    def echo(text: str) -> str:
        return f"{text} {os.getpid()}"

    bind = HTTPServer.server_bind

    def bind_again(self: HTTPServer) -> None:  # it would wait until the port has rested
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bind(self)

    HTTPServer.server_bind = bind_again  # type: ignore[method-assign]
    server.serve("127.0.0.1", port)
    print("listening", flush=True)
    signal.pause()


if __name__ == "__main__":
    {"official": official, "foreign": foreign}[sys.argv[1]](int(sys.argv[2]))
