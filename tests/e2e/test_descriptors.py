"""Few descriptors and many clients: what fits is served, and the rest is refused at once."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest

from aibridged.fake_provider import Script

CLIENTS = 500
PATIENCE_S = 40
PATH = "/anthropic/v1/messages"
BODY = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}
ENCODED = json.dumps(BODY).encode()
ASKING = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (PATH.encode(), len(ENCODED), ENCODED)
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MODELS = b"GET /anthropic/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
BREAKER = {"circuit_breaker_enabled": True, "circuit_breaker_failure_threshold": 1}


class Client:
    """A connection, and the head of the answer to its request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.head = b""

    async def ask(self, request: bytes = ASKING) -> None:
        """Send the request and wait for the answer's head; there is none if it was cut off."""
        self._writer.write(request)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.head = await self._reader.readuntil(b"\r\n\r\n")

    async def body(self) -> bytes:
        """The chunks of the answer."""
        return await self._reader.readuntil(b"\r\n0\r\n\r\n")

    @property
    def outcome(self) -> tuple[int, bytes | None, bytes | None]:
        """Status, reason and time to wait."""
        status = int(self.head.split()[1]) if self.head else 0
        return status, self._header(b"X-Aibridge-Reason"), self._header(b"Retry-After")

    def _header(self, name: bytes) -> bytes | None:
        match = re.search(rb"\r\n%b: (.*?)\r\n" % name, self.head)
        return match and match[1]


SERVED = (200, None, None)
REFUSED = (503, b"at_capacity", b"1")


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Awaitable[Client]]]:
    async with AsyncExitStack() as stack:

        async def connect(url: str) -> Client:
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            return Client(reader, writer)

        yield connect


def fitting(daemon, descriptors):
    """How many requests fit, by the daemon's own word."""
    said = rf"limit of {descriptors} file descriptors allows (\d+) concurrent requests\n"
    [found] = filter(None, (re.search(said, line) for line in daemon.log))
    return int(found[1])


@pytest.mark.parametrize(("descriptors", "least"), [(64, 8), (256, 80), (1024, 400)])
async def test_what_fits_is_served_and_the_rest_refused_and_then_all_is_well(
    start_daemon, fake, connect, descriptors, least
):
    daemon = await start_daemon(
        descriptors=(descriptors // 2, descriptors),
        CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED="true",
        CODER_AIBRIDGE_CIRCUIT_BREAKER_FAILURE_THRESHOLD="1",
    )
    await daemon.until("concurrent requests")
    fits = fitting(daemon, descriptors)
    assert fits >= least
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}, times=fits))

    async def ask(request: bytes = ASKING) -> Client:
        client = await connect(daemon.url)
        await client.ask(request)
        return client

    async with asyncio.timeout(PATIENCE_S):
        clients = await asyncio.gather(*(ask() for _ in range(CLIENTS)))
        assert Counter(each.outcome for each in clients) == {SERVED: fits, REFUSED: CLIENTS - fits}
        assert (await ask(HEALTH)).outcome == SERVED
        gate.set()
        for client in clients:
            if client.outcome == SERVED:
                assert b"message_stop" in await client.body()
        await daemon.until("outcome=completed", times=fits)
        assert (await ask(HEALTH)).outcome == SERVED
        # Over new connections, though the old ones are open yet.
        count = min(fits, 100)
        again = await asyncio.gather(*(ask() for _ in range(count)))
        assert Counter(each.outcome for each in again) == {SERVED: count}
    assert fake.seen == fits + count
    warnings = [line for line in daemon.log if "[WARN" in line and "outcome=" not in line]
    assert len(warnings) == 1
    assert "The limit of client connections is reached" in warnings[0]


async def test_places_go_from_hand_to_hand_and_nobody_is_cut_off_in_between(start_daemon, connect):
    daemon = await start_daemon(descriptors=(64, 64))

    async def ask() -> Client:
        client = await connect(daemon.url)
        await client.ask(MODELS)
        return client

    async with asyncio.timeout(PATIENCE_S):
        clients = await asyncio.gather(*(ask() for _ in range(CLIENTS)))
    assert {each.outcome for each in clients} <= {SERVED, REFUSED}


async def test_without_a_descriptor_nobody_blames_the_provider(
    start_gateway, fake, client, no_descriptor_left
):
    # Pruning has connections of its own, and prices are read from files: their end would make room.
    gateway = await start_gateway(**BREAKER, retention=0, audit_retention=0)
    await gateway.components.pricing.loaded()
    async with client.get(f"{gateway.url}/healthz") as response:  # a connection to be kept
        await response.read()
    with no_descriptor_left():
        async with client.post(gateway.url + PATH, json=BODY) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert refused.headers["X-Aibridge-Reason"] == "at_capacity"
            assert "descriptor" in (await refused.json())["message"]
    assert fake.seen == 0
    assert gateway.components.shortages.counts == {"clients": 0, "providers": 1}
    async with client.post(gateway.url + PATH, json=BODY) as response:
        assert response.status == 200
        assert b"message_stop" in await response.read()


async def test_a_request_for_which_there_was_no_descriptor_has_used_no_tokens(
    recording, client, no_descriptor_left, monkeypatch
):
    # Pruning and partitions have connections of their own, whose end would make room.
    monkeypatch.setattr("aibridged.records.partitions.Partitions.go_on", lambda self: 3600.0)
    gateway = await recording.start(retention=0, audit_retention=0)
    await gateway.components.pricing.loaded()
    async with client.get(f"{gateway.url}/healthz") as response:
        await response.read()
    with no_descriptor_left():
        async with client.post(gateway.url + PATH, json=BODY) as refused:
            assert refused.status == 503
    [row] = await recording.rows()
    found = row["interception"]
    assert (found["outcome"], found["status_code"]) == ("failed", 503)
    assert not found["usage_partial"]


async def test_idle_connections_to_one_provider_make_room_for_another(
    start_gateway, fake, client, connect
):
    gateway = await start_gateway()
    async with asyncio.timeout(PATIENCE_S):
        async with client.post(gateway.url + PATH, json=BODY) as response:
            await response.read()
        anthropic = gateway.components.upstreams["anthropic"]
        assert anthropic.connections == (0, 1)
        gateway.components.connection_limiter.places = 1
        async with client.get(f"{gateway.url}/openai/v1/models") as response:
            assert response.status == 200
        assert anthropic.connections == (0, 0)
