"""The daemon gives each caller's bridge its tools, with the caller's own token, and ends them."""

import json
from dataclasses import replace

import pytest
from aiohttp import web

from aibridged.config.options import McpServerSettings
from aibridged.config.secret import Secret
from aibridged.identity.credential_key import CredentialKey
from aibridged.identity.mcp_credentials import McpCredentialStore
from aibridged.identity.tokens import TokenStore
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.records.database import database_url, make_engine
from tests.migrated import migrate

TOOL = {"name": "search", "inputSchema": {"type": "object"}}


class Server:
    """An MCP server without sessions; `tokens` are what it was shown."""

    def __init__(self):
        self.tokens = set()

    async def handle(self, request):
        message = json.loads(await request.read())
        self.tokens.add(request.headers.get("Authorization"))
        result = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {},
            "serverInfo": {"name": "server", "version": "1"},
            "tools": [TOOL],
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
        }
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})


@pytest.fixture
async def server():
    made = Server()
    runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    yield made
    await runner.cleanup()


@pytest.fixture
def engine(tmp_path):
    migrate(tmp_path)
    return make_engine(database_url(tmp_path))


@pytest.fixture
def users(engine, clock):
    return TokenStore(engine, clock)


@pytest.fixture
def credentials(engine, clock, tmp_path):
    return McpCredentialStore(engine, CredentialKey(tmp_path / "mcp-credentials.key"), clock)


async def toolbox(gateway, initiator_id):
    lease = gateway.components.bridges.acquire(BridgeKey(initiator_id, None))
    try:
        return await lease.bridge.toolbox()
    finally:
        lease.release()


async def test_a_bridge_has_its_callers_tools(start_gateway, server, users, credentials, tmp_path):
    ann, bob = users.create_user("ann"), users.create_user("bob")
    credentials.put("ann", "mine", Secret("t0k3n-of-ann"))
    mine = McpServerSettings("mine", server.url, user_credentials="required")
    gateway = await start_gateway(auth="token", state_dir=tmp_path, mcp_servers=(mine,))
    box = await toolbox(gateway, ann.id)
    assert [tool.name for tool in box.tools] == ["bmcp_mine_search"]
    assert await toolbox(gateway, bob.id) is None
    assert server.tokens == {"Bearer t0k3n-of-ann"}


async def test_a_token_that_changed_is_used_by_the_next_bridge(
    start_gateway, server, users, credentials, tmp_path, clock
):
    ann = users.create_user("ann")
    mine = McpServerSettings("mine", server.url, user_credentials="required")
    gateway = await start_gateway(auth="token", state_dir=tmp_path, mcp_servers=(mine,))
    assert await toolbox(gateway, ann.id) is None
    credentials.put("ann", "mine", Secret("t0k3n"))
    assert await toolbox(gateway, ann.id) is None
    clock.advance(15 * 60)
    assert len((await toolbox(gateway, ann.id)).tools) == 1


async def test_a_lost_key_costs_tools_and_no_request(
    start_gateway, server, users, credentials, tmp_path
):
    ann = users.create_user("ann")
    credentials.put("ann", "mine", Secret("t0k3n"))
    (tmp_path / "mcp-credentials.key").unlink()
    mine = McpServerSettings("mine", server.url, user_credentials="optional")
    ours = McpServerSettings("ours", server.url)
    gateway = await start_gateway(auth="token", state_dir=tmp_path, mcp_servers=(mine, ours))
    assert {tool.server for tool in (await toolbox(gateway, ann.id)).tools} == {"ours"}


async def test_callers_who_are_no_users_here_have_no_tokens(start_gateway, server):
    mine = McpServerSettings("mine", server.url, user_credentials="required")
    ours = McpServerSettings("ours", server.url, Secret("shared"))
    gateway = await start_gateway(mcp_servers=(mine, ours))
    assert {tool.server for tool in (await toolbox(gateway, "somebody")).tools} == {"ours"}
    assert server.tokens == {"Bearer shared"}


async def test_a_daemon_without_servers_has_no_toolbox(start_gateway):
    assert await toolbox(await start_gateway(), "somebody") is None


async def test_a_reload_changes_the_tools_of_the_next_request(start_gateway, server):
    gateway = await start_gateway()
    assert await toolbox(gateway, "somebody") is None
    ours = McpServerSettings("ours", server.url)
    gateway.reconfigure(replace(gateway.settings, mcp_servers=(ours,)))
    first = await toolbox(gateway, "somebody")
    assert [tool.name for tool in first.tools] == ["bmcp_ours_search"]
    gateway.reconfigure(replace(gateway.settings, rate_limit=7))
    assert await toolbox(gateway, "somebody") is first
    gateway.reconfigure(replace(gateway.settings, mcp_servers=(replace(ours, id="theirs"),)))
    box = await toolbox(gateway, "somebody")
    assert [tool.name for tool in box.tools] == ["bmcp_theirs_search"]
    gateway.reconfigure(replace(gateway.settings, mcp_servers=()))
    assert await toolbox(gateway, "somebody") is None
