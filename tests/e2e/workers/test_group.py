"""Several workers: what dies is replaced, and what is told to one is done by all."""

import asyncio
import os
import re
import signal
import socket
from contextlib import suppress

import pytest

from aibridged.fake_provider import Script
from aibridged.records.schema import interceptions
from tests.e2e.workers.conftest import PATIENCE_S


async def streams(group, fake, count):
    """So many that have begun and wait; a gate that lets them end."""
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}, times=count))
    before = fake.seen
    tasks = [asyncio.get_running_loop().create_task(group.ask()) for _ in range(count)]
    await fake.received(before + count)
    return gate, tasks


def open_sockets(pid):
    return os.listdir(f"/proc/{pid}/fd")


async def test_a_killed_worker_takes_its_own_requests_along_and_no_others(
    start_group, fake, postgres_database
):
    """It is replaced, and its successor ends what it left open."""
    group = await start_group()
    assert len(group.workers) == 2
    assert [len(group.said(text)) for text in ("listens on", "Records are stored")] == [1, 1]
    gate, tasks = await streams(group, fake, 16)
    first, second = group.workers
    assert postgres_database.open_count() == 16
    os.kill(first, signal.SIGKILL)
    await group.until("was killed by SIGKILL")
    # No client waits for the successor: the queue went with the worker.
    assert await group.ask() == (200, True)
    await group.until("serves again")
    assert second in group.workers
    assert len(group.workers) == 2
    assert len(group.said("was killed by SIGKILL")) == 1
    gate.set()
    results = await asyncio.gather(*tasks)
    lost = results.count(None)
    assert 0 < lost < 16, "all of them were with one worker"
    assert results.count((200, True)) == 16 - lost
    rows = postgres_database.rows(interceptions)
    assert [row["outcome"] for row in rows].count("interrupted") == lost
    assert len(rows) == 17

    group.daemon.process.send_signal(signal.SIGHUP)
    await group.until("Reloaded: no changes")
    group.daemon.process.terminate()
    assert await group.ended() == 0
    assert len(group.said("Reloaded")) == 1
    assert len(group.said("Shutting down")) == 1


async def test_a_stop_drains_all_of_them(start_group, fake):
    group = await start_group()
    gate, tasks = await streams(group, fake, 6)
    group.daemon.process.terminate()
    await group.until("Shutting down")
    gate.set()
    assert await asyncio.gather(*tasks) == [(200, True)] * 6
    assert await group.ended() == 0


@pytest.mark.drill
async def test_a_frozen_worker_is_replaced_and_a_second_signal_kills_all(
    start_group, fake, command, tmp_path
):
    state = {"CODER_STATE_DIR": str(tmp_path / "state")}
    group = await start_group(**state)
    frozen = group.workers[0]
    os.kill(frozen, signal.SIGSTOP)
    told = (await command("status", **state)).out
    assert "serving with 1 of 2 workers" in told
    assert re.search(r"Worker 1: DOES NOT ANSWER for \S+, process", told)
    await group.until("has not answered for 15 s")
    await group.until("serves again")
    assert frozen not in group.workers
    gate, tasks = await streams(group, fake, 2)
    workers = group.workers
    group.daemon.process.terminate()
    await group.until("Shutting down")
    group.daemon.process.terminate()
    assert await group.ended() == -signal.SIGTERM
    assert await asyncio.gather(*tasks) == [None] * 2
    gate.set()
    await have_ended(workers)


@pytest.mark.drill
async def test_without_the_supervisor_the_workers_drain_and_end(start_group, fake):
    group = await start_group()
    gate, tasks = await streams(group, fake, 2)
    workers = group.workers
    group.daemon.process.kill()
    await group.until("The supervisor has ended", 2)
    gate.set()
    assert await asyncio.gather(*tasks) == [(200, True)] * 2
    await group.outputs_closed()
    await have_ended(workers)


async def have_ended(pids):
    """Wait for the end of processes that are no children of this one."""
    async with asyncio.timeout(PATIENCE_S):
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptor, ended = os.pidfd_open(pid), asyncio.Event()
                loop = asyncio.get_running_loop()
                loop.add_reader(descriptor, ended.set)
                try:
                    await ended.wait()
                finally:
                    loop.remove_reader(descriptor)
                    os.close(descriptor)


async def test_a_start_that_fails_is_one_clear_line(start_group, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError) as caught:
            await start_group(CODER_HTTP_ADDRESS=address)
    [line] = str(caught.value).splitlines()
    assert f"Cannot listen on {address}" in line
    with pytest.raises(AssertionError) as caught:
        await start_group(CODER_PG_CONNECTION_URL="postgresql://nobody@127.0.0.1:1/none")
    [line] = str(caught.value).splitlines()
    assert "Worker" not in line
    assert "127.0.0.1" in line


@pytest.mark.drill
async def test_passed_sockets_are_shared(start_group, fake, tmp_path):
    path = str(tmp_path / "gateway.sock")
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(path)
        unix.listen()
        group = await start_group(passed=[four, unix])
        assert len(group.said("http-address 127.0.0.1:0 is ignored")) == 1
        async with asyncio.timeout(30):
            while not all(group.said(f"worker={number}") for number in (1, 2)):
                assert await asyncio.gather(*(group.ask() for _ in range(8))) == [(200, True)] * 8
        # Their queue outlives a worker: who comes meanwhile waits for the other one.
        os.kill(group.workers[0], signal.SIGKILL)
        await group.until("was killed by SIGKILL")
        assert await asyncio.gather(*(group.ask() for _ in range(8))) == [(200, True)] * 8
        group.daemon.process.terminate()
        assert await group.ended() == 0
