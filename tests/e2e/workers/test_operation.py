"""A group of workers as its operator has it: systemd, reloads, log files, a renewed worker."""

import asyncio
import json
import os
import signal
import socket
from contextlib import contextmanager

import aiohttp


@contextmanager
def listening_at(path):
    """What comes for the service manager: the system keeps few messages, so all are taken."""
    messages, loop = asyncio.Queue(), asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        loop.add_reader(manager, lambda: messages.put_nowait(manager.recv(4096).decode()))
        yield messages
        loop.remove_reader(manager)


async def hears(messages, beginning):
    """The next message to the service manager that begins so."""
    async with asyncio.timeout(30):
        while not (message := await messages.get()).startswith(beginning):
            pass
    return message


async def problems(group, count):
    """The kinds that so many answers name."""
    found = []
    for _ in range(count):
        url = f"{group.url}/api/v2/aibridge/overview/problems"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            found.append([each["kind"] for each in (await response.json())["problems"]])
    return found


async def test_it_is_one_daemon(start_group, tmp_path):
    settings, log = tmp_path / "settings.yaml", tmp_path / "log.json"
    settings.write_text("aibridge: {rate_limit: 1000}\n")
    with listening_at(tmp_path / "notify") as manager:
        group = await start_group(
            "--config",
            str(settings),
            f"--log-json={log}",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            WATCHDOG_USEC="200000",
        )
        supervisor = group.daemon.process
        assert await hears(manager, "READY") == "READY=1"
        assert len(group.said("listens on")) == 1, "it was ready before a worker listened"
        assert (await hears(manager, "STATUS")).startswith("STATUS=2 of 2 workers serving; ")
        await hears(manager, "WATCHDOG")

        # A mistake changes nothing, and all say so; then all have the same settings.
        settings.write_text("aibridge: {rate_limit: many}\n")
        supervisor.send_signal(signal.SIGHUP)
        await hears(manager, "RELOADING")
        await hears(manager, "READY")
        await group.until("Nothing was reloaded")
        assert await problems(group, 6) == [["reload_failed"]] * 6
        settings.write_text("aibridge: {rate_limit: 7}\n")
        supervisor.send_signal(signal.SIGHUP)
        await hears(manager, "RELOADING")
        await hears(manager, "READY")  # workers are told before, and after the line
        await group.until("Reloaded: --aibridge-rate-limit")
        assert await problems(group, 6) == [[]] * 6
        assert len(group.said("Reloaded")) == 1

        # The log is rotated for all.
        log.rename(tmp_path / "log.1")
        supervisor.send_signal(signal.SIGUSR1)
        await group.until("Reopened the log files")
        seen = set()
        while seen != {"1", "2"}:
            await problems(group, 4)
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            seen = {line["fields"].get("worker") for line in lines} - {None}

        # A worker that is asked to end is renewed; signals for all don't reach it alone.
        first = group.workers[0]
        os.kill(first, signal.SIGHUP)
        os.kill(first, signal.SIGUSR1)
        os.kill(first, signal.SIGTERM)
        await group.until("ended with status 0")
        await group.until("serves again")
        assert first not in group.workers
        # However often that is, it is no crash.
        os.kill(group.workers[-1], signal.SIGTERM)
        await group.until("serves again", 2)
        [*renewed] = group.said("ended with status 0")
        assert len(renewed) == 2
        assert [line for line in renewed if "s: it is started again at once" in line] == renewed

        supervisor.terminate()
        assert (await hears(manager, "STOPPING")).startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
        assert await group.ended() == 0
