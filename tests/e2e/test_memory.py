"""What large requests take of the real process's memory, under way and afterwards."""

import asyncio
import json
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

MIB = 2**20
SIZE = 31 * MIB
REQUESTS = 8
BODY = json.dumps(
    {
        "model": "m",
        "stream": True,
        "max_tokens": 1,
        "system": "x" * SIZE,  # nothing of it is kept for the record
        "messages": [{"role": "user", "content": "hi"}],
    }
).encode()


def memory(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, now and at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    return tuple(int(told[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
async def test_large_bodies_are_there_once_and_their_memory_is_given_back(start_daemon, fake):
    daemon = await start_daemon(CODER_AIBRIDGE_MAX_INFLIGHT_BYTES="1GiB")
    before, _ = memory(daemon.process.pid)
    async with aiohttp.ClientSession() as client:

        async def ask() -> int:
            async with client.post(
                f"{daemon.url}/anthropic/v1/messages", data=BytesIO(BODY)
            ) as response:
                await response.read()
                return response.status

        assert set(await asyncio.gather(*(ask() for _ in range(REQUESTS)))) == {200}
        after, most = memory(daemon.process.pid)
    assert most - before < 1.5 * REQUESTS * SIZE
    assert after - before < SIZE
