"""GitHub Copilot's clients, which know no base URL but honour HTTPS_PROXY."""

import json
import socket
import ssl
from functools import partial
from ipaddress import ip_network
from urllib.parse import urlsplit

import aiohttp.connector
import aiohttp.resolver
import pytest
import sqlalchemy as sa

from aibridged.config.load import resolve
from aibridged.config.options import ProviderSettings
from aibridged.fake_provider import FakeProvider
from aibridged.records import schema
from aibridged.records.database import database_url, make_engine

OWN = "Authorization: Bearer tid=1;exp=1760000000;sku=plan:c2lnbmVk"
CLIENT = (
    "User-Agent: GitHubCopilotChat/0.33",
    "Editor-Version: vscode/1.110.0",
    "Copilot-Integration-Id: vscode-chat",
    "X-GitHub-Api-Version: 2025-10-01",
    "X-Interaction-Id: interaction-1",
)
CHAT = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
BODIES = {"/chat/completions": CHAT, "/responses": {"model": "m", "input": "hi"}, "/models": None}
PLANS = {
    "copilot": "api.individual.githubcopilot.com",
    "copilot-business": "api.business.githubcopilot.com",
    "copilot-enterprise": "api.enterprise.githubcopilot.com",
}


@pytest.fixture
def trusting(ca, monkeypatch):
    """The gateway believes in certificates of the tests' CA."""
    trusting = ssl.create_default_context(cafile=ca[0])
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)


@pytest.fixture
async def copilot(server_tls, trusting):
    """Copilot's host, with TLS."""
    provider = FakeProvider()
    await provider.start(tls=server_tls("127.0.0.1"))
    yield provider
    await provider.stop()


@pytest.fixture
async def hosts(server_tls, trusting, monkeypatch):
    """The host of each plan, by the plan's name: where the gateway gets to under that host's."""
    found = {}
    for name, host in PLANS.items():
        found[name] = FakeProvider()
        await found[name].start(tls=server_tls(host))
    ports = {host: urlsplit(found[name].base_url).port for name, host in PLANS.items()}

    async def lead(self, host, port=0, family=socket.AF_INET):
        assert port == 443
        address = {"host": "127.0.0.1", "port": ports[host], "family": socket.AF_INET}
        return [{"hostname": host, **address, "proto": 0, "flags": socket.AI_NUMERICHOST}]

    monkeypatch.setattr(aiohttp.resolver.DefaultResolver, "resolve", lead)
    yield found
    for each in found.values():
        await each.stop()


@pytest.fixture
async def proxied(start_proxied, copilot):
    return await start_proxied(
        providers=(ProviderSettings("copilot", "copilot", None, copilot.base_url),),
        proxy_allowed_private_cidrs=(ip_network("127.0.0.0/8"),),
    )


async def ask_host(proxied, authority, path, *headers):
    """Asks a host for a path through the AI Proxy; the answer's status and all."""
    connect = await proxied.connect(authority)
    assert connect.status == 200
    await connect.tls(authority.partition(":")[0], proxied.ca)
    body = b"" if BODIES[path] is None else json.dumps(BODIES[path]).encode()
    lines = [
        f"{'POST' if body else 'GET'} {path} HTTP/1.1",
        f"Host: {authority}",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return await connect.ask("\r\n".join([*lines, "", ""]).encode() + body)


@pytest.fixture
def ask(proxied, copilot):
    """Asks Copilot's host for a path through the AI Proxy; the answer's status and all."""
    return partial(ask_host, proxied, urlsplit(copilot.base_url).netloc)


@pytest.fixture
async def tunnelled(listen, resolve_to):
    """Sees that nobody looks into connections to these hosts."""

    async def echo(reader, writer):
        writer.write(await reader.readexactly(4))
        writer.close()

    address = await listen(echo)

    async def tunnelled(proxied, hosts):
        resolve_to(**{host.replace(".", "_"): [address] for host in hosts})
        for host in hosts:
            connect = await proxied.connect(f"{host}:443")
            assert connect.status == 200
            # Not a TLS record: whoever opened TLS would end the connection here.
            connect.writer.write(b"ping")
            assert await connect.reader.read() == b"ping"

    return tunnelled


def configured(flags=(), **variables):
    """What matters here of the settings that these flags and variables make."""
    settings = resolve(dict(flags), variables).settings
    return {"providers": settings.providers, "allow_byok": settings.allow_byok}


def recorded(gateway, *tables):
    """The rows of these tables; the gateway has stopped."""
    engine = make_engine(database_url(gateway.settings.state_dir), busy_timeout=1)
    with engine.begin() as connection:
        rows = [connection.execute(sa.select(each)).mappings().all() for each in tables]
    engine.dispose()
    return rows


async def test_what_it_asks_goes_through_the_gateway(proxied, copilot, ask, log):
    for path in BODIES:
        status, answer = await ask(path, OWN, *CLIENT)
        assert (path, status) == (path, 200)
        received = copilot.requests[-1]
        assert received.raw_path == path
        for header in (OWN, *CLIENT):
            name, _, value = header.partition(": ")
            assert received.all(name) == [value]
        everything = b"".join(name + value for name, value in received.raw_headers)
        assert proxied.token.encode() not in everything + received.body + answer
    await proxied.gateway.stop()
    rows, usages = recorded(proxied.gateway, schema.interceptions, schema.token_usages)
    assert [(row["provider"], row["credential_kind"], row["username"]) for row in rows] == [
        ("copilot", "byok", "alice")
    ] * 2
    assert {row["client_session_id"] for row in rows} == {"interaction-1"}
    assert [usage["output_tokens"] > 0 for usage in usages] == [True, True]
    assert not any(proxied.token in line or "c2lnbmVk" in line for line in log)


async def test_without_its_login_it_is_told_so(copilot, ask):
    for path in BODIES:
        status, answer = await ask(path, *CLIENT)
        assert (path, status) == (path, 401)
        assert b"own_key_required" in answer
    assert copilot.seen == 0


async def test_without_a_list_each_plan_is_asked_at_its_own_host(start_proxied, hosts):
    proxied = await start_proxied(**configured())
    for name, host in PLANS.items():
        own = f"{OWN}-{name}"
        status, answer = await ask_host(proxied, f"{host}:443", "/chat/completions", own, *CLIENT)
        assert (host, status) == (host, 200)
        [received] = hosts[name].requests
        assert (received.raw_path, received.header("Host")) == ("/chat/completions", host)
        assert received.all("Authorization") == [own.removeprefix("Authorization: ")]
        everything = b"".join(name + value for name, value in received.raw_headers)
        assert proxied.token.encode() not in everything + received.body + answer
    await proxied.gateway.stop()
    [rows] = recorded(proxied.gateway, schema.interceptions)
    assert sorted(
        (row["provider_name"], row["provider"], row["credential_kind"]) for row in rows
    ) == [(name, "copilot", "byok") for name in sorted(PLANS)]


async def test_where_no_own_keys_are_allowed_no_plan_can_be_used(start_proxied, hosts):
    proxied = await start_proxied(**configured({"--aibridge-allow-byok": "false"}))
    for host in PLANS.values():
        for path in BODIES:
            status, answer = await ask_host(proxied, f"{host}:443", path, OWN, *CLIENT)
            assert (host, path, status) == (host, path, 403)
            assert b"X-Aibridge-Reason: byok_disabled" in answer
    assert [each.seen for each in hosts.values()] == [0, 0, 0]


async def test_plans_that_a_list_leaves_out_are_tunnels(start_proxied, tunnelled):
    proxied = await start_proxied(
        **configured(CODER_AIBRIDGE_PROVIDER_0_TYPE="anthropic"),
        proxy_allowed_private_cidrs=(ip_network("127.0.0.0/8"),),
    )
    await tunnelled(proxied, PLANS.values())


async def test_where_it_logs_in_is_a_tunnel(proxied, tunnelled):
    await tunnelled(proxied, ("api.github.com", "github.com"))
