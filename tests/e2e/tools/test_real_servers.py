"""Tools of real MCP servers: one with the official SDK, and one without."""

import json
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from zeromcp import McpServer

from aibridged.config.options import McpServerSettings
from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.mcp import servers as mcp_servers
from aibridged.observe.spans import REQUEST, SPANS


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
    """The URL of a server with its own implementation of the protocol."""
    server = McpServer("voices")

    @server.tool
    def shout(text: str) -> str:
        """Say it louder."""
        return text.upper()

    @server.tool
    def count(words: list) -> int:
        """Say how many there are."""
        return len(words)

    server.serve("127.0.0.1", 0)
    # It has no way to ask for the port that the system chose.
    yield f"http://127.0.0.1:{server._http_server.server_address[1]}/mcp"
    server.stop()


@pytest.fixture(scope="module")
def servers():
    with official_server() as sums, foreign_server() as voices:
        yield (McpServerSettings("sums", sums), McpServerSettings("voices", voices))


@pytest.fixture(autouse=True)
def _slow_servers_are_waited_for(monkeypatch):
    """On a busy machine, too: two seconds are for people."""
    monkeypatch.setattr(mcp_servers, "_PATIENCE_S", 30.0)


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
    assert names == ["bmcp_sums_add", "bmcp_voices_count", "bmcp_voices_shout"]


async def test_a_trace_shows_the_servers_and_their_tools(
    start_gateway, talk_to, fake, servers, spans
):
    sums = replace(servers[0], url=f"{servers[0].url}?key=canary")
    dead = McpServerSettings("dead", "http://127.0.0.1:1/mcp")
    fake.play(Script(answer=Answer(calls=(ToolCall("bmcp_sums_add", '{"a":1,"b":2}'),))))
    gateway = await start_gateway(trace=True, shutdown_timeout=5.0, mcp_servers=(sums, dead))
    talk = talk_to(gateway, "messages", "streaming")
    await talk.say("Go.")
    await talk.say("Go on.")  # in the same bridge: the servers are connected
    await gateway.stop()
    told = {row.name: row for row in SPANS}
    names = {span.span_id: span.name for span in spans}
    found = Counter()
    for span in spans:
        row = told.get(span.name, told[REQUEST])
        attributes = {each.key: each.value for each in span.attributes}
        assert attributes.keys() <= set(row.attributes)
        assert names.get(span.parent_span_id, "POST").partition(" ")[0] == (
            "POST" if row.parent in (REQUEST, None) else row.parent
        )
        name = attributes["mcp_server_name"].string_value if "mcp_server_name" in attributes else ""
        found[span.name, name, span.status.message] += 1
    mcp = {key: count for key, count in found.items() if "Proxy" in key[0] or key[1]}
    assert mcp == {
        ("ServerProxyManager.Init", "", ""): 1,
        ("StreamableHTTPServerProxy.Init", "sums", ""): 1,
        ("StreamableHTTPServerProxy.Init.fetchTools", "sums", ""): 1,
        ("StreamableHTTPServerProxy.Init", "dead", "ServerFailedError"): 1,
        ("Intercept.ProcessRequest.ToolCall", "sums", ""): 1,
    }
    assert found["Intercept.ProcessRequest.Upstream", "", ""] == 3
    assert "canary" not in str(spans)
