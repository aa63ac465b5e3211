"""A process that is asked to end, and asked again."""

import asyncio
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
from aibridged.daemon.stop_signals import on_stop_signals

async def main():
    stopping = on_stop_signals()
    print("ready", flush=True)
    await stopping.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_asks_and_the_second_kills(first, second):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(first)
    assert await process.stdout.readline() == b"stopping\n"
    process.send_signal(second)
    assert await process.wait() == -second
