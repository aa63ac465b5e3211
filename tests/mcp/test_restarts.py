"""A server is restarted as a process: its tools go on, in a new session, and each is run once."""

import asyncio
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from loguru import logger

from aibridged.mcp import servers as servers_module
from aibridged.mcp.tools import ToolResult

SCRIPT = Path(__file__).with_name("restartable.py")


class Server:
    """A server on a port that stays the same. `pid` is that of its process."""

    def __init__(self, kind):
        self._kind = kind
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/mcp"

    def start(self):
        command = (sys.executable, str(SCRIPT), self._kind, str(self._port))
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        line = ""
        while "listening" not in line:
            line = self._process.stdout.readline()
            assert line, "it has ended"

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(params=["official", "foreign"])
def server(request, monkeypatch):
    monkeypatch.setattr(servers_module, "_PATIENCE_S", 30.0)
    made = Server(request.param)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def lines():
    """What is logged."""
    found = []
    sink = logger.add(lambda message: found.append(message.record["message"]), level="INFO")
    yield found
    logger.remove(sink)


async def test_tools_outlive_a_restart(offer, server, lines):
    tools = offer({"docs": server.url})
    ann, bob = tools.of("ann"), tools.of("bob")
    boxes = [await ann.open(), await bob.open()]
    for box in boxes:
        assert await box.call(box.tools[0], b'{"text": "a"}') == ToolResult(f"a {server.pid}")
    server.kill()
    gone = await boxes[0].call(boxes[0].tools[0], b'{"text": "b"}')
    assert (gone.is_error, "connection refused" in gone.text) == (True, True)
    server.start()
    for box in boxes:
        calls = (box.call(box.tools[0], b'{"text": "%d"}' % number) for number in range(3))
        results = await asyncio.gather(*calls)
        assert results == [ToolResult(f"{number} {server.pid}") for number in range(3)]
    assert tools.ended == {"docs": 2}
    told = "The MCP server docs has ended a session, as after a restart; opening a new one"
    assert lines.count(told) == tools.ended["docs"]
    ann.close()
    bob.close()


async def test_a_call_is_repeated_once(offer, tiny, lines):
    async def no_session(request, message):
        return web.json_response({"error": "Session not found"}, status=404)

    tools = offer({"docs": tiny.url})
    caller = tools.of("ann")
    box = await caller.open()
    tiny.answers["tools/call"] = no_session
    assert await box.call(box.tools[0], b"{}") == ToolResult(
        "The tool echo of the MCP server docs failed: the server has ended the session.", True
    )
    assert tiny.methods().count("tools/call") == 2
    assert tiny.methods().count("initialize") == 2
    assert tools.ended == {"docs": 1}
    del tiny.answers["tools/call"]
    assert await box.call(box.tools[0], b"{}") == ToolResult("{}")
    caller.close()
