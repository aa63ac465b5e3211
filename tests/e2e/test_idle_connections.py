"""Idle connections are bounded, and a client that uses one just as it has to go is served."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest

from aibridged.fake_provider import Script
from aibridged.transport import server
from tests.socket_fixtures import PATIENCE_S, Peer

READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps(
    {"model": "m", "stream": True, "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
).encode()
ASKING = (
    b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Client(Peer):
    """The client's end of a connection."""

    async def ask(self) -> bytes:
        """The head of the answer to a small request."""
        self.writer.write(READY)
        head = await self.head()
        await self.reader.readuntil(b"\n")
        return head

    async def closed(self) -> None:
        """Wait until the gateway has closed the connection, without a reset."""
        async with asyncio.timeout(PATIENCE_S):
            assert await self.reader.read() == b""


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    writers = []

    async def connect(gateway) -> Client:
        host, port = gateway.url.removeprefix("http://").split(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        writers.append(client.writer)
        return client

    yield connect
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.2)


@pytest.mark.parametrize("sent", [b"", b"GET /readyz HTT", READY])
@pytest.mark.parametrize(
    "limits",
    [
        {"max_idle_connections": 2},
        {"max_idle_connections_per_address": 2},
        {"max_idle_connections": 2, "proxy_trusted_origins": LOOPBACK},
    ],
)
async def test_the_oldest_idle_connection_is_closed(start_gateway, connect, sent, limits):
    gateway = await start_gateway(**limits)
    oldest = await connect(gateway)
    oldest.writer.write(sent)
    if sent == READY:
        await oldest.head()
        await oldest.reader.readuntil(b"\n")
    others = [await connect(gateway) for _ in range(2)]
    await oldest.closed()
    for other in others:
        assert b" 200 OK" in await other.ask()
    assert gateway.components.connection_limiter.idle.closed == 1


async def test_trusted_proxies_may_have_more_than_others(start_gateway, connect):
    gateway = await start_gateway(
        max_idle_connections_per_address=1, proxy_trusted_origins=LOOPBACK
    )
    clients = [await connect(gateway) for _ in range(3)]
    for client in clients:
        assert b"Connection: close" not in await client.ask()
    assert gateway.components.connection_limiter.idle.closed == 0


async def test_whoever_asks_just_as_it_has_to_go_is_served_for_the_last_time(
    start_gateway, connect
):
    gateway = await start_gateway(max_idle_connections=1)
    first = await connect(gateway)
    await first.ask()
    second = await connect(gateway)
    await second.ask()
    assert gateway.components.connection_limiter.idle.closed == 1
    head = await first.ask()
    assert b" 200 OK" in head
    assert b"Connection: close" in head
    await first.closed()
    assert b"Connection: close" not in await second.ask()


async def test_a_connection_with_a_request_is_not_idle_however_long_it_takes(
    start_gateway, connect, fake
):
    gateway = await start_gateway(max_idle_connections=1)
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    busy = await connect(gateway)
    busy.writer.write(ASKING)
    await busy.head()
    first, second = await connect(gateway), await connect(gateway)
    await second.ask()
    await first.closed()
    gate.set()
    async with asyncio.timeout(PATIENCE_S):
        assert b"message_stop" in await busy.reader.readuntil(b"\r\n0\r\n\r\n")
    await second.closed()  # now it is the elder of two


async def test_a_reload_with_lower_limits_closes_what_is_over(start_gateway, connect):
    gateway = await start_gateway()
    clients = [await connect(gateway) for _ in range(3)]
    for client in clients:
        await client.ask()
    gateway.reconfigure(replace(gateway.settings, max_idle_connections_per_address=1))
    for client in clients[:2]:
        await client.closed()
    assert b" 200 OK" in await clients[2].ask()


async def test_what_has_ended_is_counted_no_more(start_gateway, connect):
    gateway = await start_gateway()
    connection_limiter = gateway.components.connection_limiter
    for _ in range(3):
        client = await connect(gateway)
        await client.ask()
        assert (connection_limiter.taken, len(connection_limiter.idle)) == (1, 1)
        left = asyncio.Event()
        connection_limiter.wait(left.set)
        client.writer.close()
        async with asyncio.timeout(PATIENCE_S):
            await left.wait()
        assert (connection_limiter.taken, len(connection_limiter.idle)) == (0, 0)
