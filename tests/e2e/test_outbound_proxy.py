"""All that the daemon asks leaves through a forward proxy, which alone knows the names."""

import json
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aibridged.config.options import ProviderSettings, Settings, routed
from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import read_proxy_url
from aibridged.config.secret import Secret
from aibridged.fake_provider import FakeProvider, Script

BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CREDENTIALS = "user:pa:ss"
MESSAGES, CHAT = "/anthropic/v1/messages", "/openai/v1/chat/completions"


@pytest.fixture
async def secure(private_ca):
    """A provider with TLS."""
    provider = FakeProvider()
    await provider.start(tls=private_ca.tls("provider.test"))
    yield provider
    await provider.stop()


def place(url):
    return url.rpartition("//")[2]


@pytest.fixture
async def address(forward_proxy, fake, secure):
    """The proxy, which wants credentials."""
    forward_proxy.credentials = CREDENTIALS
    forward_proxy.to = {
        "provider.test:443": place(secure.base_url),
        "plain.test": place(fake.base_url),
    }
    return await forward_proxy.start()


async def test_the_daemon_by_the_variables(
    start_daemon, forward_proxy, address, fake, secure, client, private_ca
):
    daemon = await start_daemon(
        HTTPS_PROXY=f"http://user:pa%3Ass@{address}",
        ALL_PROXY=f"user:pa%3Ass@{address}",
        NO_PROXY="unused.test",
        SSL_CERT_FILE=str(private_ca.path),
        CODER_AIBRIDGE_ANTHROPIC_BASE_URL="https://provider.test",
        CODER_AIBRIDGE_OPENAI_BASE_URL="http://plain.test/v1",
    )
    for path, provider in ((MESSAGES, secure), (CHAT, fake)):
        for stream in (False, True):
            async with client.post(daemon.url + path, json={**BODY, "stream": stream}) as response:
                assert response.status == 200, await response.read()
                assert b"fake" in await response.read()
        assert provider.seen == 2
        assert provider.requests[0].header("Proxy-Authorization") is None
    # One tunnel, whose connection is kept.
    assert forward_proxy.targets == [
        "CONNECT provider.test:443",
        *["POST http://plain.test/v1/chat/completions"] * 2,
    ]
    log = "".join(daemon.log)
    assert f"Outgoing requests go through http://****@{address} (HTTPS_PROXY): anthropic" in log
    assert f"Outgoing requests go through http://****@{address} (ALL_PROXY): openai" in log
    assert "pa:ss" not in log
    assert "pa%3Ass" not in log


@pytest.fixture
async def start_routed(start_gateway, monkeypatch, private_ca, fake):
    """Starts a gateway whose requests go through a proxy, with the settings that are given."""
    monkeypatch.setenv("SSL_CERT_FILE", str(private_ca.path))

    async def start(url, **changes):
        proxy = replace(read_proxy_url(url), source="HTTPS_PROXY")
        providers = (
            ProviderSettings("anthropic", "anthropic", Secret("k"), "https://provider.test"),
            ProviderSettings("openai", "openai", Secret("k"), "http://plain.test/v1"),
        )
        settings = replace(Settings(), providers=providers, **changes)
        settings = routed(settings, OutboundProxies(proxy, proxy))
        return await start_gateway(
            providers=settings.providers,
            mcp_servers=settings.mcp_servers,
            outbound=settings.outbound,
            **{name: value for name, value in changes.items() if name != "mcp_servers"},
        )

    return start


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
async def test_a_proxy_that_refuses_is_named_and_none_of_its_words(
    start_routed, forward_proxy, address, client, path, secure, fake
):
    gateway = await start_routed(f"http://user:wrong@{address}")
    async with client.post(gateway.url + path, json=BODY) as response:
        assert response.status == 502
        body = await response.read()
    assert response.headers["X-Aibridge-Reason"] == "upstream_unreachable"
    name = path.split("/")[1]
    assert json.loads(body)["message"] == (
        f"The provider {name} could not be reached: the upstream proxy responded with status 407."
    )
    assert "Proxy-Authenticate" not in response.headers
    assert secure.seen == fake.seen == 0


async def test_a_provider_that_breaks_off_behind_the_proxy(start_routed, address, client, secure):
    gateway = await start_routed(f"http://user:pa%3Ass@{address}")
    secure.play(Script(close=True))
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        assert response.status == 502
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        assert response.status == 200


@pytest.fixture
async def coder(private_ca):
    """A Coder deployment with TLS that knows one token."""

    async def users_me(request):
        if request.headers["Coder-Session-Token"] != TOKEN:
            return web.json_response({}, status=401)
        user = {"id": "7c5e6b0e-0000-4000-8000-000000000001", "username": "alice"}
        return web.json_response({**user, "status": "active"})

    application = web.Application()
    application.router.add_get("/api/v2/users/me", users_me)
    server = TestServer(application)
    await server.start_server(ssl=private_ca.tls("coder.test"))
    yield server
    await server.close()


TOKEN = "ABCDEFGHIJ-abcdefghijklmnopqrstuv"


@pytest.mark.parametrize("wrong", [False, True], ids=["let through", "refused"])
async def test_a_coder_deployment_is_asked_through_the_proxy(
    start_daemon, forward_proxy, address, coder, client, private_ca, wrong, fake
):
    forward_proxy.to["coder.test:443"] = place(str(coder.make_url("")).rstrip("/"))
    daemon = await start_daemon(
        HTTPS_PROXY=f"http://user:{'wrong' if wrong else 'pa%3Ass'}@{address}",
        SSL_CERT_FILE=str(private_ca.path),
        CODER_AIBRIDGE_AUTH="coder",
        CODER_URL="https://coder.test",
    )
    headers = {"X-Coder-Token": TOKEN}
    async with client.post(daemon.url + MESSAGES, json=BODY, headers=headers) as response:
        assert response.status == (503 if wrong else 200), await response.read()
    assert forward_proxy.targets[0] == "CONNECT coder.test:443"
    assert fake.seen == (0 if wrong else 1)
    if wrong:
        await daemon.until("could not be reached: the upstream proxy responded with status 407")
