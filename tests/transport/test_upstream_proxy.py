"""Requests through an upstream proxy, over real sockets: by a tunnel, or by the whole URL."""

import asyncio

import aiohttp
import pytest

from aibridged.config.proxy_url import read_proxy_url
from aibridged.core.egress import Destination
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_proxy import (
    NotConnectedError,
    UpstreamProxies,
    UpstreamProxyError,
)
from tests.socket_fixtures import OK, whole


@pytest.fixture
async def through(provider, forward_proxy, private_ca, pools, monkeypatch):
    """Makes an `Upstream` to the provider as `name:port`, over TLS or not, through the proxy."""
    made = []

    async def through(url, *, proxy_tls=False, within=5.0, trusted=True, **provider_options):
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(private_ca.path))
        await provider.start(**provider_options)
        forward_proxy.to |= {
            f"provider.test:{port}": f"127.0.0.1:{provider.port}" for port in (443, 8443, 80)
        }
        forward_proxy.to["provider.test"] = f"127.0.0.1:{provider.port}"
        address = await forward_proxy.start(private_ca.tls("127.0.0.1") if proxy_tls else None)
        credentials = f"{forward_proxy.credentials}@" if forward_proxy.credentials else ""
        scheme = "https" if proxy_tls else "http"
        proxy = UpstreamProxies().of(read_proxy_url(f"{scheme}://{credentials}{address}"), within)
        made.append(Upstream(url, within, pools, proxy=proxy))
        return made[-1]

    yield through
    for upstream in made:
        await upstream.close()


@pytest.mark.parametrize("proxy_tls", [False, True], ids=["plain proxy", "proxy with TLS"])
@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://provider.test/v1", "CONNECT provider.test:443"),
        ("https://provider.test:8443/v1", "CONNECT provider.test:8443"),
        ("http://provider.test/v1", "POST http://provider.test/v1/x?y=%20"),
    ],
)
async def test_a_request_leaves_through_the_proxy(
    through, provider, forward_proxy, private_ca, ask, url, target, proxy_tls
):
    forward_proxy.credentials = "user:pa:ss"
    tls = private_ca.tls("provider.test") if url.startswith("https") else None
    upstream = await through(url, proxy_tls=proxy_tls, **({"ssl": tls} if tls else {}))
    asking = ask(upstream)
    peer = await provider.peer()
    head = await peer.head()
    assert head.startswith(b"POST /v1/x?y=%20 HTTP/1.1\r\nHost: provider.test")
    assert b"Proxy-Authorization" not in head
    await peer.say(OK)
    assert await whole(await asking) == b"hi"
    assert forward_proxy.targets == [target]
    # The connection is kept, and so is what the proxy is shown with each request of its own.
    assert upstream.connections == (0, 1)
    again = ask(upstream)
    await peer.head()
    await peer.say(OK)
    assert await whole(await again) == b"hi"
    assert len(provider.peers) == 1


@pytest.mark.parametrize("url", ["https://provider.test/v1", "http://provider.test/v1"])
async def test_a_proxy_that_wants_other_credentials(through, provider, forward_proxy, ask, url):
    upstream = await through(url)
    forward_proxy.credentials = "user:password"
    with pytest.raises(UpstreamProxyError, match="the upstream proxy responded with status 407"):
        await ask(upstream)
    assert provider.peers == []
    assert upstream.connections[0] == 0


async def test_a_proxy_that_refuses(through, provider, forward_proxy, ask):
    upstream = await through("https://provider.test/v1")
    forward_proxy.status = 503
    with pytest.raises(UpstreamProxyError, match="status 503"):
        await ask(upstream)


@pytest.mark.parametrize("url", ["https://provider.test/v1", "http://provider.test/v1"])
async def test_a_proxy_that_is_away(through, forward_proxy, ask, url):
    upstream = await through(url)
    await forward_proxy.stop()
    with pytest.raises(UpstreamProxyError, match="can't be reached: connection refused"):
        await ask(upstream)


async def test_a_proxy_that_says_nothing_has_as_long_as_connecting_may_take(
    through, forward_proxy, ask
):
    upstream = await through("https://provider.test/v1", within=0.1)
    forward_proxy.mute = True
    with pytest.raises(aiohttp.ConnectionTimeoutError):
        await ask(upstream)
    assert upstream.connections == (0, 0)


async def test_a_provider_behind_a_tunnel_is_verified(through, private_ca, ask, provider):
    upstream = await through(
        "https://provider.test/v1", trusted=False, ssl=private_ca.tls("provider.test")
    )
    with pytest.raises(NotConnectedError, match="signed by an unknown authority"):
        await ask(upstream)


async def test_what_comes_behind_the_proxys_answer_is_the_servers(forward_proxy):
    forward_proxy.answer = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello"
    address = await forward_proxy.start()
    proxy = UpstreamProxies().of(read_proxy_url(f"http://{address}"), 5.0)
    transport, parked = await proxy.connect(Destination("server.test", 443))
    taken = Taken()
    parked.hand_over(transport, taken)
    async with asyncio.timeout(5):
        assert await taken.data == b"hello"
    transport.abort()


class Taken(asyncio.Protocol):
    """What has come first."""

    def __init__(self):
        self.data = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data.set_result(data)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"nonsense\r\n\r\n", "the upstream proxy's response is not HTTP"),
        (b"SSH-2.0-x\r\n", "the upstream proxy's response is not HTTP"),
        (b"HTTP/1.1 2", "the upstream proxy closed the connection"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
            "the upstream proxy's response is not HTTP",
        ),
        (b"HTTP/1.1 407 -\n\n<html>secret</html>", "the upstream proxy responded with status 407"),
    ],
)
async def test_an_answer_that_is_no_tunnel(forward_proxy, answer, reason):
    forward_proxy.answer = answer
    address = await forward_proxy.start()
    proxy = UpstreamProxies().of(read_proxy_url(f"http://{address}"), 5.0)
    with pytest.raises(UpstreamProxyError) as raised:
        await proxy.connect(Destination("server.test", 443))
    assert str(raised.value) == reason
