"""Tools of real MCP servers: one of the official SDK, and one that somebody else has written."""

import json
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from zeromcp import McpServer

from aibridged.config.options import McpServerSettings
from aibridged.fake_provider import Answer, Script, ToolCall


@contextmanager
def official_server():
    """The URL of a server of the official SDK, in a thread."""
    server = MCPServer("sums")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        if a < 0:
            raise ValueError("out of numbers")
        return a + b

    config = uvicorn.Config(server.streamable_http_app(), port=0, log_level="critical", ws="none")
    http = uvicorn.Server(config)
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    while not http.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield f"http://127.0.0.1:{http.servers[0].sockets[0].getsockname()[1]}/mcp"
    http.should_exit = True
    thread.join()


@contextmanager
def foreign_server():
    """The URL of a server whose author has written the protocol anew."""
    server = McpServer("voices")

    @server.tool
    def shout(text: str) -> str:
        """Say it louder."""
        return text.upper()

    server.serve("127.0.0.1", 0)
    # It has no way to ask for the port that the system chose.
    yield f"http://127.0.0.1:{server._http_server.server_address[1]}/mcp"
    server.stop()


@pytest.fixture(scope="module")
def servers():
    with official_server() as sums, foreign_server() as voices:
        yield (McpServerSettings("sums", sums), McpServerSettings("voices", voices))


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
