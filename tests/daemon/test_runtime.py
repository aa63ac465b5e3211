"""The event loop, the garbage collector, and a process that is asked to end."""

import asyncio
import gc
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aibridged.daemon.runtime import loop_factory, tune_garbage_collector


@pytest.fixture
def _collector_as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_a_loop_runs():
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(asyncio.sleep(0, "done")) == "done"


@pytest.mark.usefixtures("_collector_as_it_was")
def test_the_collector_leaves_what_is_there_alone_and_still_collects_what_comes():
    there = [[]]
    tune_garbage_collector()
    assert not any(each is there for each in gc.get_objects())
    assert gc.get_threshold()[0] > 1000
    circle = [there]
    circle.append(circle)
    assert any(each is circle for each in gc.get_objects())


PROGRAM = """
import asyncio
from aibridged.daemon.runtime import on_stop_signals

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
