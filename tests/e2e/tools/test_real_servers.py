"""Tools of real MCP servers: one of the official SDK, and one that somebody else has written."""

import json
import threading

import pytest
import uvicorn
from fastmcp import FastMCP
from mcp.server.mcpserver import MCPServer

from aibridged.config.options import McpServerSettings
from aibridged.fake_provider import Answer, Script, ToolCall


class Served:
    """An ASGI application on a free port, in a thread of its own."""

    def __init__(self, application):
        config = uvicorn.Config(application, port=0, log_level="critical", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/mcp"

    def stop(self):
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module")
def servers():
    official = MCPServer("sums")

    @official.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        if a < 0:
            raise ValueError("out of numbers")
        return a + b

    foreign = FastMCP("voices")

    @foreign.tool
    def shout(text: str) -> str:
        """Say it louder."""
        return text.upper()

    served = [Served(official.streamable_http_app()), Served(foreign.http_app())]
    yield tuple(
        McpServerSettings(name, each.url)
        for name, each in zip(("sums", "voices"), served, strict=True)
    )
    for each in served:
        each.stop()


async def test_models_use_the_tools_of_both(start_gateway, talk_to, fake, servers, api, way):
    calls = [
        ToolCall("bmcp_sums_add", json.dumps({"a": 40, "b": 2})),
        ToolCall("bmcp_voices_shout", json.dumps({"text": "hello"})),
        ToolCall("bmcp_sums_add", json.dumps({"a": -1, "b": 2})),
        ToolCall("bmcp_sums_add", json.dumps({"a": "x"})),
    ]
    fake.play(*(Script(answer=Answer(text="Hm.", calls=(call,))) for call in calls))
    talk = talk_to(await start_gateway(mcp_servers=servers), api, way)
    answer = await talk.say("Use your tools.")
    assert talk.text(answer).startswith("Hm.\n\nHm.\n\nHm.\n\nHm.\n\nThe tool answered:")
    told = [request.body.decode() for request in fake.requests]
    assert "42" in told[1]
    assert "HELLO" in told[2]
    assert "Error executing tool" in told[3]
    assert len(told) == 5
    offered = json.loads(told[0])["tools"]
    names = [tool.get("function", tool)["name"] for tool in offered]
    assert names == ["bmcp_sums_add", "bmcp_voices_shout"]
