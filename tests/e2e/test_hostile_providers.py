"""Whatever one provider answers one caller, the others are served meanwhile.

The provider, the daemon and the callers are three processes, so that none shares the daemon's loop.
"""

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.hostile_provider import ATTACKS, CODED, MIB

PROVIDER = Path(__file__).with_name("hostile_provider.py")
PATH = "/openai/v1/chat/completions"

QUICK_S = 0.25
"""What nine of ten requests of others take at most, on a machine that does other things, too."""
RSS_MIB = 128
"""How much the daemon may grow: four times the limit of a request's body."""

needs_proc = pytest.mark.skipif(
    sys.platform != "linux", reason="NOT TESTED: memory is read from /proc"
)


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROVIDER), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def daemon(daemon_in_front_of):
    """A daemon in front of the hostile provider."""
    async with provider() as url, daemon_in_front_of(url) as running:
        yield running


def request(model: str) -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": []}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def exchange(daemon, sent: bytes) -> bytes:
    """The beginning of what is answered; the rest is read and forgotten."""
    port = int(daemon.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 * MIB)
    try:
        writer.write(sent)
        kept = b""
        while piece := await reader.read(MIB):
            kept = (kept + piece)[:200] if len(kept) < 200 else kept
        return kept
    finally:
        writer.close()


def memory(daemon, field: str) -> float:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


async def times(ask: Callable[[], Awaitable[bytes]], until: asyncio.Event) -> list[float]:
    """How long each request took, one after the other."""
    took = []
    while not until.is_set():
        began = time.perf_counter()
        answer = await ask()
        took.append(time.perf_counter() - began)
        assert answer.startswith(b"HTTP/1.1 200"), answer
    return took


@needs_proc
@pytest.mark.parametrize("attack", [name for name in (*ATTACKS, *CODED) if name != "endless"])
async def test_others_are_served_meanwhile(daemon, attack):
    await exchange(daemon, request("kind"))
    before = memory(daemon, "VmRSS")
    over = asyncio.Event()
    probing = asyncio.gather(
        times(lambda: exchange(daemon, HEALTH), over),
        times(lambda: exchange(daemon, request("kind")), over),
    )
    with suppress(ConnectionError):
        for _ in range(2):
            await exchange(daemon, request(attack))
    over.set()
    for took in await probing:
        took.sort()
        assert took[int(len(took) * 0.9)] < QUICK_S, took[-3:]
        assert took[-1] < 4 * QUICK_S
    assert memory(daemon, "VmHWM") - before < RSS_MIB


@needs_proc
async def test_little_waits_for_clients_that_do_not_read(daemon):
    """Neither in the daemon nor, unsent, in the system."""
    port = int(daemon.url.rpartition(":")[2])
    await exchange(daemon, request("kind"))
    before = memory(daemon, "VmRSS")
    clients = []
    try:
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", port))
            clients.append(client)
            client.sendall(request("endless"))
        async with asyncio.timeout(30):
            while (unsent := _unsent(port)) != _unsent(port) or len(unsent) < 20:
                await exchange(daemon, HEALTH)
        for _ in range(200):
            await exchange(daemon, HEALTH)
        unsent = _unsent(port)
        assert max(unsent) < MIB
        assert memory(daemon, "VmHWM") - before < 20, "a MiB each"
        assert (await exchange(daemon, request("kind"))).startswith(b"HTTP/1.1 200")
    finally:
        for client in clients:
            client.close()


def _unsent(port: int) -> list[int]:
    """Bytes in the send buffers of the daemon's connections that have some."""
    queues = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, _, queue, *_ = line.split()
        if int(local.partition(":")[2], 16) == port and (size := int(queue.partition(":")[0], 16)):
            queues.append(size)
    return queues
