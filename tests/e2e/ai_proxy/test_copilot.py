"""GitHub Copilot's clients, which know no base URL but honour HTTPS_PROXY."""

import json
import ssl
from ipaddress import ip_network
from urllib.parse import urlsplit

import aiohttp.connector
import pytest
import sqlalchemy as sa

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


@pytest.fixture
async def copilot(server_tls, ca, monkeypatch):
    """Copilot's host, with TLS, and a certificate that the gateway believes in."""
    trusting = ssl.create_default_context(cafile=ca[0])
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    provider = FakeProvider()
    await provider.start(tls=server_tls("127.0.0.1"))
    yield provider
    await provider.stop()


@pytest.fixture
async def proxied(start_proxied, copilot):
    return await start_proxied(
        providers=(ProviderSettings("copilot", "copilot", None, copilot.base_url),),
        proxy_allowed_private_cidrs=(ip_network("127.0.0.0/8"),),
    )


@pytest.fixture
def ask(proxied, copilot):
    """Asks Copilot's host for a path through the AI Proxy; the answer's status and all."""
    host = urlsplit(copilot.base_url).netloc

    async def ask(path, *headers):
        connect = await proxied.connect(host)
        assert connect.status == 200
        await connect.tls("127.0.0.1", proxied.ca)
        body = b"" if BODIES[path] is None else json.dumps(BODIES[path]).encode()
        lines = [
            f"{'POST' if body else 'GET'} {path} HTTP/1.1",
            f"Host: {host}",
            "Connection: close",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        return await connect.ask("\r\n".join([*lines, "", ""]).encode() + body)

    return ask


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
    engine = make_engine(database_url(proxied.gateway.settings.state_dir), busy_timeout=1)
    with engine.begin() as connection:
        rows = connection.execute(sa.select(schema.interceptions)).mappings().all()
        usages = connection.execute(sa.select(schema.token_usages)).mappings().all()
    engine.dispose()
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


async def test_where_it_logs_in_is_a_tunnel(proxied, listen, resolve_to):
    async def echo(reader, writer):
        writer.write(await reader.readexactly(4))
        writer.close()

    address = await listen(echo)
    resolve_to(api_github_com=[address], github_com=[address])
    for host in ("api.github.com", "github.com"):
        connect = await proxied.connect(f"{host}:443")
        assert connect.status == 200
        # Not a TLS record: whoever opened TLS would end the connection here.
        connect.writer.write(b"ping")
        assert await connect.reader.read() == b"ping"
