"""Whatever one provider answers one caller, the others are served meanwhile.

The provider, the daemon and the callers are three processes, so that none shares the daemon's loop.
"""

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.hostile_provider import GROUPS, MIB
from tests.own_time import OwnTime

PROVIDER = Path(__file__).with_name("hostile_provider.py")
HOSTILE, KIND = "/hostile/v1/chat/completions", "/kind/v1/chat/completions"

QUICK_S = 0.25
"""What nine of ten requests of others take at most."""
SLOW_S = 1.0
"""And each of them: what any one of these answers cost others, and more, before it was bounded."""
PACE_S = 0.01
"""Between those requests, which would else keep a core busy."""
RSS_MIB = 128
"""How much the daemon may grow: four times the limit of a request's body."""

needs_proc = pytest.mark.skipif(
    sys.platform != "linux", reason="NOT TESTED: memory is read from /proc"
)


@asynccontextmanager
async def provider() -> AsyncIterator[tuple[str, int]]:
    """A provider's URL, and its process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROVIDER), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}", process.pid
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def kind():
    async with provider() as running:
        yield running


@pytest.fixture
async def daemon(daemon_in_front_of, kind):
    """A daemon in front of the hostile provider, and of the kind one."""
    async with provider() as (hostile, _):
        variables = {
            f"CODER_AIBRIDGE_PROVIDER_{number}_{key}": value
            for number, (name, url) in enumerate({"hostile": hostile, "kind": kind[0]}.items())
            for key, value in {
                "TYPE": "openai",
                "NAME": name,
                "KEY": "key",
                "BASE_URL": f"{url}/v1",
            }.items()
        }
        async with daemon_in_front_of(hostile, **variables) as running:
            yield running


def request(path: str, model: str = "kind") -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": []}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


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


async def times(daemon, kind, sent: bytes, until: asyncio.Event) -> list[float]:
    """The own time of all who take part in each request, one after the other, the least first."""
    took = []
    while not until.is_set():
        own = OwnTime(os.getpid(), daemon.process.pid, kind[1])
        answer = await exchange(daemon, sent)
        took.append(own.elapsed())
        assert answer.startswith(b"HTTP/1.1 200"), answer
        await asyncio.sleep(PACE_S)
    return sorted(took)


@needs_proc
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.drill)])
@pytest.mark.parametrize("group", GROUPS)
async def test_others_are_served_meanwhile(daemon, kind, group, step, record_property):
    """By every third answer, or as a drill by each one: they take 0.5 s of CPU each."""
    await exchange(daemon, request(KIND))
    before = memory(daemon, "VmRSS")
    slow = {}
    attacks = [*GROUPS[group]][::step]
    for attack in attacks:
        over = asyncio.Event()
        probing = asyncio.gather(
            *(times(daemon, kind, asked, over) for asked in (HEALTH, request(KIND)))
        )
        with suppress(ConnectionError):
            await exchange(daemon, request(HOSTILE, f"{group}: {attack}"))
        over.set()
        for took in await probing:
            if took[int(len(took) * 0.9)] > QUICK_S or took[-1] > SLOW_S:
                slow[attack] = took[-5:]
    record_property("abuse", (f"provider streams: {group}", len(attacks), len(slow)))
    assert slow == {}
    assert memory(daemon, "VmHWM") - before < RSS_MIB


@needs_proc
async def test_little_waits_for_clients_that_do_not_read(daemon, record_property):
    """Neither in the daemon nor, unsent, in the system."""
    port = int(daemon.url.rpartition(":")[2])
    await exchange(daemon, request(KIND))
    before = memory(daemon, "VmRSS")
    clients = []
    try:
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", port))
            clients.append(client)
            client.sendall(request(HOSTILE, "endless"))
        async with asyncio.timeout(30):
            while (unsent := _unsent(port)) != _unsent(port) or len(unsent) < 20:
                await exchange(daemon, HEALTH)
        for _ in range(200):
            await exchange(daemon, HEALTH)
        unsent = _unsent(port)
        greedy = sum(each >= MIB for each in unsent)
        record_property("abuse", ("clients that don't read", len(clients), greedy))
        assert greedy == 0
        assert memory(daemon, "VmHWM") - before < 20, "a MiB each"
        assert (await exchange(daemon, request(KIND))).startswith(b"HTTP/1.1 200")
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
