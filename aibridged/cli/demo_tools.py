"""MCP server for the demo, with one tool that the gateway runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

SERVER = "demo"
_SECONDS_TO_STOP = 1


def can_serve() -> bool:
    """Whether the SDK is installed, which the gateway needs for tools, too."""
    return find_spec("mcp") is not None


@contextmanager
def tool_server() -> Iterator[str]:
    """Serve a tool over MCP in a thread; yields the URL."""
    import uvicorn
    from mcp.server.mcpserver import MCPServer

    server = MCPServer(SERVER, log_level="CRITICAL")

    @server.tool()
    def weather(city: str) -> str:
        """Returns the weather in a city."""
        return f"It is sunny in {city}."

    config = uvicorn.Config(
        server.streamable_http_app(),
        port=0,
        log_level="critical",
        ws="none",
        timeout_graceful_shutdown=_SECONDS_TO_STOP,
    )
    http = uvicorn.Server(config)
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    while not http.started and thread.is_alive():
        thread.join(0.01)
    port = http.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        http.should_exit = True
        thread.join()
