"""The real process with few descriptors and many clients: what fits is served, the rest refused."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest

from aibridged.fake_provider import Script

CLIENTS = 500
PATIENCE_S = 20
BODY = json.dumps(
    {
        "model": "m",
        "stream": True,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "hi"}],
    }
).encode()
REQUEST = (
    b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Client:
    """A connection, the status of the answer to its request, and when its head had come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""

    async def ask(self, request: bytes = REQUEST) -> None:
        """Send the request and wait for the answer's head; there is none if it was cut off."""
        self.writer.write(request)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.head = await self.reader.readuntil(b"\r\n\r\n")

    @property
    def status(self) -> int:
        return int(self.head.split()[1]) if self.head else 0

    def header(self, name: bytes) -> bytes | None:
        match = re.search(rb"\r\n%b: (.*?)\r\n" % name, self.head, re.IGNORECASE)
        return match and match[1]


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Awaitable[Client]]]:
    async with AsyncExitStack() as stack:

        async def connect(url: str) -> Client:
            host, port = url.removeprefix("http://").split(":")
            client = Client(*await asyncio.open_connection(host, int(port)))
            stack.callback(client.writer.close)
            return client

        yield connect


def fitting(daemon) -> int:
    """How many requests fit, by the daemon's own word."""
    [found] = [
        re.search(r"(\d+) requests fit in the limit", line) for line in daemon.log if "fit" in line
    ]
    return int(found[1])


@pytest.mark.parametrize("descriptors", [64, 256, 1024])
async def test_x(start_daemon, fake, connect, descriptors):
    daemon = await start_daemon(
        descriptors=(descriptors, descriptors), CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED="true"
    )
    await daemon.until("requests fit")
    fits = fitting(daemon)
    import os

    print(descriptors, fits, len(os.listdir(f"/proc/{daemon.process.pid}/fd")))
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}, times=CLIENTS))
    t = time.monotonic()
    took = []

    async def one():
        c = await connect(daemon.url)
        await c.ask()
        took.append(time.monotonic() - t)
        return c

    async with asyncio.timeout(PATIENCE_S):
        clients = await asyncio.gather(*(one() for _ in range(CLIENTS)))
    print(
        Counter(
            (
                c.status,
                c.header(b"X-Aibridge-Reason"),
                c.header(b"Retry-After"),
                c.header(b"Connection"),
            )
            for c in clients
        ),
        time.monotonic() - t,
        sorted(took)[::100],
        max(took),
    )
    print(len(os.listdir(f"/proc/{daemon.process.pid}/fd")))
    h = await connect(daemon.url)
    await h.ask(HEALTH)
    print(h.head)
    gate.set()
    for c in clients:
        if c.status == 200:
            assert b"message_stop" in await c.reader.readuntil(b"0\r\n\r\n")
    again = [await connect(daemon.url) for _ in range(fits)]
    t = time.monotonic()
    await asyncio.gather(*(a.ask() for a in again))
    print(Counter((c.status, c.header(b"X-Aibridge-Reason")) for c in again), time.monotonic() - t)
    print("".join(l for l in daemon.log if "at_capacity" not in l and "reason" not in l)[:3000])
