"""Each server is asked once, all at the same time, and what comes of it is said of each."""

import re
from dataclasses import replace

from aibridged.clock import SystemClock
from aibridged.config.options import McpServerSettings, Settings, routed
from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import read_proxy_url
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
    assert dead.selection.error == "it can't be reached: connection refused"
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


async def test_a_server_is_reached_through_the_proxy(forward_proxy, private_ca, monkeypatch, tiny):
    monkeypatch.setenv("SSL_CERT_FILE", str(private_ca.path))
    forward_proxy.credentials = "user:pa:ss"
    address = await forward_proxy.start(private_ca.tls("127.0.0.1"))
    forward_proxy.to["tiny.test"] = tiny.url.split("/")[2]
    proxy = read_proxy_url(f"https://user:pa%3Ass@{address}")
    settings = Settings(
        mcp_servers=(
            McpServerSettings("tiny", "http://tiny.test/mcp"),
            McpServerSettings("gone", "https://gone.test/mcp"),
        )
    )
    settings = routed(settings, OutboundProxies(proxy, proxy))
    reached, gone = await probe_all(settings, SystemClock())
    assert [tool.name for tool in reached.selection.tools] == ["bmcp_tiny_echo"]
    assert gone.selection.error == "the upstream proxy responded with status 502"
    assert set(forward_proxy.targets) == {
        "CONNECT gone.test:443",
        "DELETE http://tiny.test/mcp",
        "POST http://tiny.test/mcp",
    }
    forward_proxy.credentials = "user:other"
    for reached in await probe_all(settings, SystemClock()):
        assert "407" in reached.selection.error
        assert "secret" not in reached.selection.error
    assert reached.selection.error == "the upstream proxy responded with status 407"
