"""What isn't intercepted: which addresses are dialled, and the bytes that go through."""

import asyncio
import hashlib
import os
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from functools import partial
from ipaddress import ip_network

import pytest

from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import read_proxy_url
from aibridged.config.proxy_variables import read_exceptions
from aibridged.core.egress import Destination, Egress
from aibridged.daemon import gatekeeper
from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.proxy import connect as connects
from aibridged.proxy import proxy_server
from aibridged.proxy.dial import Dialer
from tests.waiting import until

LOOPBACK = (ip_network("127.0.0.0/8"),)
MEGABYTE = 1024 * 1024


async def echo(reader, writer):
    """Send back what comes, then end."""
    while chunk := await reader.read(1 << 18):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    writer.close()


@pytest.fixture
async def server(listen, resolve_to):
    """An echo at server.example, port 443 as far as the proxy can tell."""
    address = await listen(echo)
    resolve_to(server_example=[address])
    return address


@pytest.fixture
async def open_tunnel(start_proxied, server):
    """A tunnel to that server."""
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK)

    async def open_tunnel():
        connect = await proxied.connect("server.example:443")
        assert connect.status == 200
        return connect

    open_tunnel.proxied = proxied
    return open_tunnel


async def test_a_tunnel_ends_with_its_token_if_there_is_no_grace(
    start_proxied, server, monkeypatch
):
    at_once = partial(gatekeeper.keep_revoking, interval=0.001)
    monkeypatch.setattr(gatekeeper, "keep_revoking", at_once)
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK, revocation_grace=0.0)
    connect = await proxied.connect("server.example:443")
    connect.writer.write(b"hi")
    assert await connect.reader.readexactly(2) == b"hi"
    proxied.gateway._composition.resources.tokens.revoke_token(proxied.token.split("_")[1])
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            assert await connect.reader.read() == b""
    assert (await proxied.connect("server.example:443")).status == 407


REFUSED = (
    # By what is dialled.
    ("127.0.0.1:443", 403),
    ("127.8.8.8:443", 403),
    ("0.0.0.0:443", 403),
    ("10.0.0.1:443", 403),
    ("172.16.0.1:443", 403),
    ("192.168.0.1:443", 403),
    ("100.64.0.1:443", 403),
    ("169.254.169.254:443", 403),
    ("168.63.129.16:443", 403),
    ("224.0.0.1:443", 403),
    ("255.255.255.255:443", 403),
    ("[::1]:443", 403),
    ("[::]:443", 403),
    ("[::ffff:127.0.0.1]:443", 403),
    ("[::ffff:169.254.169.254]:443", 403),
    ("[::127.0.0.1]:443", 403),
    ("[64:ff9b::7f00:1]:443", 403),
    ("[64:ff9b::a9fe:a9fe]:443", 403),
    ("[2002:7f00:1::]:443", 403),
    ("[2001:0:7f00:1::]:443", 403),
    ("[fe80::1]:443", 403),
    ("[fd00:ec2::254]:443", 403),
    ("[ff02::1]:443", 403),
    # By how it is written.
    ("2130706433:443", 400),
    ("0x7f000001:443", 400),
    ("0x7f.0.0.1:443", 400),
    ("0177.0.0.1:443", 400),
    ("127.1:443", 400),
    ("[fe80::1%25lo]:443", 400),
    # By the port.
    ("server.example:80", 403),
    ("server.example:22", 403),
    ("server.example:8443", 403),
    ("93.184.215.14:25", 403),
    ("api.anthropic.com:80", 403),
    # By what a name stands for.
    ("localhost:443", 403),
    ("private.example:443", 403),
    ("metadata.example:443", 403),
    ("mapped.example:443", 403),
    ("nothing.example:443", 502),
)


async def test_what_is_refused(ssrf):
    proxied, dialled = ssrf
    for target, status in REFUSED:
        connect = await proxied.connect(target)
        assert (target, connect.status) == (target, status)
        assert (target, dialled) == (target, [])
        assert target.partition(":")[0] not in connect.body.decode()


@pytest.fixture
async def ssrf(start_proxied, resolve_to, monkeypatch):
    """A proxy that allows nothing private, and the addresses that it dials all the same."""
    resolve_to(
        localhost=["127.0.0.1", "::1"],
        private_example=["10.0.0.7", "fd00::7"],
        metadata_example=["169.254.169.254"],
        mapped_example=["::ffff:127.0.0.1"],
        server_example=["93.184.215.14"],
    )
    dialled = []

    async def start_connection(candidates, **options):
        dialled.extend(each[4][0] for each in candidates)
        raise ConnectionRefusedError

    monkeypatch.setattr("aiohappyeyeballs.start_connection", start_connection)
    return await start_proxied(), dialled


async def test_of_many_addresses_only_the_public_ones_are_dialled(ssrf, resolve_to):
    proxied, dialled = ssrf
    resolve_to(mixed_example=["10.0.0.7", "93.184.215.14", "127.0.0.1", "2606:4700::1111"])
    assert (await proxied.connect("mixed.example:443")).status == 502
    assert dialled == ["93.184.215.14", "2606:4700::1111"]


async def test_an_answer_of_dns_that_changes_is_asked_for_once(ssrf, resolve_to):
    proxied, dialled = ssrf
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    asked = resolve_to(rebinding_example=lambda: next(answers))
    asked.clear()
    assert (await proxied.connect("rebinding.example:443")).status == 502
    assert dialled == ["93.184.215.14"]
    assert (await proxied.connect("rebinding.example:443")).status == 403
    assert (dialled, asked) == (["93.184.215.14"], ["rebinding.example"] * 2)


async def test_a_network_may_be_allowed(open_tunnel):
    connect = await open_tunnel()
    connect.writer.write(b"ping")
    assert await connect.reader.readexactly(4) == b"ping"


async def test_a_server_that_refuses(start_proxied, resolve_to, listen):
    host, port = await listen(echo)
    resolve_to(gone_example=[(host, port - 1 if port > 2000 else port + 1)])
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK)
    connect = await proxied.connect("gone.example:443")
    assert (connect.status, connect.header("X-Aibridge-Reason")) == (502, "destination_unreachable")


async def test_names_that_nobody_answers_for_hold_up_nothing_else(start_proxied, monkeypatch):
    asked, go_on = [], threading.Event()

    def silent(host, *_, **__):
        asked.append(host)
        go_on.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    proxied = await start_proxied()
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    connects = asyncio.gather(*(proxied.connect(f"n{n}.example:443") for n in range(40)))
    try:
        await until(lambda: len(asked) == 16)
        async with asyncio.timeout(10):
            # What the provider's name is resolved on, and metrics are rendered.
            await asyncio.to_thread(int)
    finally:
        go_on.set()
    assert {each.status for each in await connects} == {502}


async def test_one_caller_may_have_so_many_tunnels(start_proxied, server, monkeypatch):
    monkeypatch.setattr(proxy_server, "most_tunnels", lambda: 2)
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK)
    for _ in range(3):  # what can't be reached, or is over, counts no more
        assert (await proxied.connect("10.0.0.1:443")).status == 403
        connect = await proxied.connect("server.example:443")
        assert connect.status == 200
        more = await proxied.connect("server.example:443")
        assert (more.status, more.header("Retry-After")) == (503, "5")
        assert b"at_capacity" in more.body
        # Where the gateway is behind it, there is no tunnel.
        assert (await proxied.connect("api.anthropic.com:443")).status == 200
        connect.writer.write_eof()
        assert await connect.reader.read() == b""
        connect.writer.close()
        await _no_tunnels(proxied)


async def test_a_tunnel_shows_the_servers_own_certificate(
    start_proxied, resolve_to, listen, own_pair
):
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(*own_pair)
    resolve_to(localhost=[await listen(echo, own)])
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK)
    connect = await proxied.connect("localhost:443")
    await connect.tls("localhost", own_pair[0], check_hostname=False)
    shown = connect.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(shown).split() == own_pair[0].read_text().split()
    connect.writer.write(b"ping")
    assert await connect.reader.readexactly(4) == b"ping"


async def test_megabytes_arrive_intact_each_way_and_as_fast_as_through_a_plain_relay(
    open_tunnel, server, listen, record_property
):
    """The relay is what asyncio's streams make of it, in the same loop."""

    async def relay(reader, writer):
        there, back = await asyncio.open_connection(*server)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        back.close()
        writer.close()

    size = int(os.environ.get("AIBRIDGED_TUNNEL_MB", "16")) * MEGABYTE
    address = await listen(relay)
    relayed, tunneled = [], []
    for _ in range(3):  # in turn, and the best of each: machines have other things to do
        reader, writer = await asyncio.open_connection(*address)
        relayed.append(await _round_trip(reader, writer, size))
        writer.close()
        connect = await open_tunnel()
        tunneled.append(await _round_trip(connect.reader, connect.writer, size))
    record_property("relay_mb_per_s", size / MEGABYTE / min(relayed))
    record_property("tunnel_mb_per_s", size / MEGABYTE / min(tunneled))
    assert min(tunneled) < 2 * min(relayed)


async def _copy(reader, writer):
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def _round_trip(reader, writer, size):
    """Send that many bytes to an echo, and check what comes back; how long it took."""
    block = os.urandom(MEGABYTE)
    began = time.perf_counter()

    async def send():
        for _ in range(size // MEGABYTE):
            writer.write(block)
            await writer.drain()
        writer.write_eof()

    sending = asyncio.get_running_loop().create_task(send())
    got, digest = 0, hashlib.blake2b()
    while chunk := await reader.read(1 << 18):
        got += len(chunk)
        digest.update(chunk)
    await sending
    took = time.perf_counter() - began
    sent = hashlib.blake2b()
    for _ in range(size // MEGABYTE):
        sent.update(block)
    assert (got, digest.digest()) == (size, sent.digest())
    return took


async def test_a_slow_reader_stops_the_sender(open_tunnel):
    connect = await open_tunnel()
    connect.reader._transport.pause_reading()
    connect.writer.transport.set_write_buffer_limits(high=0)
    for _ in range(100):
        connect.writer.write(bytes(MEGABYTE))
        try:
            await asyncio.wait_for(connect.writer.drain(), 0.5)
        except TimeoutError:
            break
    else:
        pytest.fail("100 MB were taken that nobody reads")
    connect.writer.transport.abort()


async def test_one_side_may_end_before_the_other(open_tunnel):
    connect = await open_tunnel()
    connect.writer.write(b"last words")
    connect.writer.write_eof()
    assert await connect.reader.read() == b"last words"


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_connection_that_breaks_ends_the_other(start_proxied, resolve_to, listen, side):
    ended, connected = asyncio.Event(), asyncio.Event()

    async def handle(reader, writer):
        connected.set()
        if side == "server":
            reset = struct.pack("ii", 1, 0)  # closing sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
            return
        await reader.read()
        ended.set()
        writer.close()

    resolve_to(server_example=[await listen(handle)])
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK)
    connect = await proxied.connect("server.example:443")
    await connected.wait()
    if side == "server":
        assert await connect.reader.read() == b""
    else:
        connect.writer.transport.abort()
        await ended.wait()
    await _no_tunnels(proxied)


async def _no_tunnels(proxied):
    await until(lambda: not proxied.gateway.proxy._connects.tunnels)


@pytest.mark.parametrize(("limit", "half_closed"), [("IDLE_S", False), ("HALF_CLOSED_S", True)])
async def test_silence_ends_a_tunnel(
    start_proxied, resolve_to, listen, monkeypatch, limit, half_closed
):
    async def handle(reader, writer):
        await reader.read()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    resolve_to(server_example=[await listen(handle)])
    monkeypatch.setattr(connects, limit, 0.05)
    proxied = await start_proxied(proxy_allowed_private_cidrs=LOOPBACK)
    connect = await proxied.connect("server.example:443")
    if half_closed:
        connect.writer.write_eof()
    assert await connect.reader.read() == b""
    await _no_tunnels(proxied)
    ended.set()


async def test_traffic_keeps_a_tunnel_open(open_tunnel, monkeypatch):
    monkeypatch.setattr(connects, "IDLE_S", 0.2)
    connect = await open_tunnel()
    for _ in range(10):
        connect.writer.write(b"tick")
        assert await connect.reader.readexactly(4) == b"tick"
        await asyncio.sleep(0.05)


async def test_the_end_of_the_daemon_ends_tunnels(open_tunnel):
    connect = await open_tunnel()
    await open_tunnel.proxied.gateway.stop()
    assert await connect.reader.read() == b""


# Through the proxy behind it.


@pytest.fixture
def upstream(listen):
    """An HTTP proxy that connects wherever it is asked to; what it was asked, head by head."""
    heads: list[str] = []

    async def handle(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        if "refused.example" in head:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nsecret")
            writer.close()
            return
        if "nonsense.example" in head:
            writer.write(b"nonsense\r\n\r\n")
            writer.close()
            return
        if "silent.example" in head:
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nX-Proxy: yes\r\n\r\n")
        await echo(reader, writer)

    async def start(tls=None):
        host, port = await listen(handle, tls)
        return f"{host}:{port}", heads

    return start


async def test_tunnels_leave_through_the_upstream_proxy(start_proxied, resolve_to, upstream):
    address, heads = await upstream()
    resolve_to(server_example=["93.184.215.14"])
    url = read_proxy_url(f"http://user:pa%3Ass@{address}")
    proxied = await start_proxied(proxy_upstream=url)
    # The second is a name that only the upstream proxy knows.
    for target in ("server.example:443", "unknown.example:443"):
        connect = await proxied.connect(target)
        connect.writer.write(b"ping")
        assert await connect.reader.readexactly(4) == b"ping"
        head = heads.pop()
        assert head.startswith(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n")
        assert "Proxy-Authorization: Basic dXNlcjpwYTpzcw==\r\n" in head
        assert proxied.token not in head


async def test_tunnels_leave_as_all_requests_do_without_a_proxy_of_their_own(
    start_proxied, resolve_to, upstream, listen
):
    address, heads = await upstream()
    resolve_to(server_example=["93.184.215.14"], direct_example=[await listen(echo)])
    general = read_proxy_url(f"http://user:pass@{address}")
    way = OutboundProxies(https=general, exceptions=read_exceptions("direct.example"))
    for own in (None, read_proxy_url(f"http://{address}")):
        proxied = await start_proxied(
            proxy_upstream=own, outbound=way, proxy_allowed_private_cidrs=LOOPBACK
        )
        for target, is_proxied in (("server.example:443", True), ("direct.example:443", own)):
            heads.clear()
            connect = await proxied.connect(target)
            connect.writer.write(b"ping")
            assert await connect.reader.readexactly(4) == b"ping"
            assert len(heads) == bool(is_proxied)
            for head in heads:
                assert head.startswith(f"CONNECT {target} HTTP/1.1\r\n")
                assert ("Proxy-Authorization" in head) is (own is None)


async def test_the_upstream_proxy_may_have_tls(start_proxied, resolve_to, upstream, server_tls, ca):
    address, heads = await upstream(server_tls("127.0.0.1"))
    resolve_to(server_example=["93.184.215.14"])
    url = read_proxy_url(f"https://{address}")
    connect = await (await start_proxied(proxy_upstream=url)).connect("server.example:443")
    assert (connect.status, heads) == (502, [])  # nobody trusts that CA
    proxied = await start_proxied(proxy_upstream=url, proxy_upstream_ca=ca[0], http_read_timeout=31)
    connect = await proxied.connect("server.example:443")
    connect.writer.write(b"ping")
    assert await connect.reader.readexactly(4) == b"ping"
    assert "Proxy-Authorization" not in heads[0]


BY_THE_UPSTREAM = (
    ("refused.example:443", 502),
    ("nonsense.example:443", 502),
    ("silent.example:443", 502),
    ("private.example:443", 403),
    ("mixed.example:443", 403),
    ("10.0.0.1:443", 403),
    ("server.example:80", 403),
)


async def test_what_the_upstream_proxy_is_not_asked_or_refuses(start_proxied, resolve_to, upstream):
    address, heads = await upstream()
    resolve_to(private_example=["10.0.0.1"], mixed_example=["93.184.215.14", "10.0.0.1"])
    proxied = await start_proxied(proxy_upstream=read_proxy_url(f"http://{address}"))
    for target, status in BY_THE_UPSTREAM:
        heads.clear()
        connect = await proxied.connect(target)
        assert (target, connect.status) == (target, status)
        assert b"secret" not in connect.body
        assert bool(heads) is (status == 502)


async def test_without_a_descriptor_left_no_destination_is_blamed(no_descriptor_left):
    dialer = Dialer(Egress(()))
    with no_descriptor_left(), pytest.raises(GatewayError) as refusal:
        await dialer.connect(Destination("127.0.0.1", 443), trusted=True)
    assert refusal.value.kind is AT_CAPACITY
    dialer.close()
