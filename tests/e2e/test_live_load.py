"""What it costs the daemon that a thousand running streams are watched."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from aibridged.fake_provider import Script

pytestmark = pytest.mark.drill

STREAMS = 1000
SECONDS = 15.0
SHARE = 0.02
"""Of a core."""
LIVE = "/api/v2/aibridge/live"
BODY = {
    "model": "m-1",
    "max_tokens": 9,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
async def streams(daemon_in_front_of, fake):
    """A daemon with streams that have an event a second each."""
    fake.play(Script(times=STREAMS, deltas=1000, delay=1.0))
    connector = aiohttp.TCPConnector(limit=0)
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(
            daemon_in_front_of(fake.base_url, CODER_AIBRIDGE_MAX_CONCURRENCY="0")
        )
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        for start in range(0, STREAMS, 50):
            asking = [
                client.post(daemon.url + "/anthropic/v1/messages", json=BODY) for _ in range(50)
            ]
            for response in await asyncio.gather(*asking):
                assert response.status == 200, start
                stack.callback(response.close)
        yield daemon, client


def ran(pid):
    """Seconds that the threads of a process have run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def spent(daemon, seconds):
    """The processor time of the daemon's own in so many seconds."""
    before = ran(daemon.process.pid)
    await asyncio.sleep(seconds)
    return ran(daemon.process.pid) - before


async def test_a_watcher_of_a_thousand_streams_costs_little(streams):
    daemon, client = streams
    alone = await spent(daemon, SECONDS)
    came = bytearray()

    async def read(response):
        async for piece in response.content.iter_any():
            came.extend(piece)

    async with client.get(daemon.url + LIVE + "/events") as response:
        reading = asyncio.ensure_future(read(response))  # noqa: TID251
        watched = await spent(daemon, SECONDS)
        reading.cancel()
    lines = bytes(came).split(b"\n")
    told = [json.loads(line[6:]) for line in lines[:-1] if line.startswith(b"data: ")]
    assert told[0]["count"] == STREAMS
    assert len(told) >= SECONDS / 2
    assert sum(len(each["changed"]) for each in told[1:]) > STREAMS * SECONDS / 4
    share = (watched - alone) / SECONDS
    print(f"alone {alone / SECONDS:.2%}, watched {watched / SECONDS:.2%} of a core")
    assert share < SHARE, f"{share:.1%} of a core"
