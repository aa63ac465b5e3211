"""Each server is asked once, all at the same time, and what comes of it is said of each."""

import re
from dataclasses import replace

from aibridged.clock import SystemClock
from aibridged.config.options import McpServerSettings, Settings
from aibridged.mcp.probe import probe_all


async def test_every_server_is_told_of(tiny, real_server, foreign_server):
    servers = (
        McpServerSettings("real", real_server.url, tool_deny_regex=re.compile("^(fail|wait)$")),
        McpServerSettings("dead", "http://127.0.0.1:1/mcp"),
        McpServerSettings("mine", tiny.url, user_credentials="required"),
        McpServerSettings("foreign", foreign_server.url),
        McpServerSettings("either", tiny.url, user_credentials="optional"),
    )
    settings = replace(Settings(), mcp_servers=servers)
    real, dead, mine, foreign, either = await probe_all(settings, SystemClock())
    assert [tool.tool for tool in real.selection.tools] == ["add", "large", "picture"]
    assert real.selection.hidden == ["fail", "wait"]
    assert dead.selection.error == "it can't be reached (Connection refused)"
    assert mine.selection is None
    assert [tool.name for tool in foreign.selection.tools] == [
        "bmcp_foreign_fail",
        "bmcp_foreign_shout",
    ]
    assert [tool.name for tool in either.selection.tools] == ["bmcp_either_echo"]
    assert tiny.sessions == set()
    await tiny.left()


async def test_one_that_offers_too_much_has_failed(tiny):
    tiny.tools = [{**tiny.tools[0], "name": str(number)} for number in range(3)]
    server = McpServerSettings("docs", tiny.url)
    settings = replace(Settings(), mcp_servers=(server,), mcp_max_tools=2)
    (reached,) = await probe_all(settings, SystemClock())
    assert reached.selection.error.startswith("it offers 3 tools, and 2 are allowed")
