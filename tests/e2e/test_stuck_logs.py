"""The daemon while its log takes nothing: a full disk, a reader that has stopped."""

import asyncio
import os
import signal
from contextlib import ExitStack

import pytest

from tests.observe.conftest import A_LINE

PATH = "/anthropic/v1/messages"
# With structured logging a request leaves more than a page of it in the log.
PROMPT = "canary-prompt " * 500
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
ENOUGH = 300  # requests, whose lines are more than a pipe holds and the daemon keeps


@pytest.fixture
def stuck(request, tmp_path):
    """Flags and options of a daemon whose JSON log goes into a pipe that isn't emptied."""
    with ExitStack() as held:
        if request.param == "named pipe":
            fifo = tmp_path / "fifo"
            os.mkfifo(fifo)
            held.callback(os.close, os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
            yield ("--log-json", str(fifo)), {}
        else:
            reading, writing = os.pipe()
            held.callback(os.close, reading)
            held.callback(os.close, writing)
            yield ("--log-json", "/dev/stdout"), {"stdout": writing}


METRICS = {"CODER_PROMETHEUS_ENABLE": "true", "CODER_PROMETHEUS_ADDRESS": "127.0.0.1:0"}
LOST = "aibridged_log_lines_lost_total"


async def lost(client, daemon) -> dict[str, float]:
    """The lines that the daemon has lost, by the reason."""
    async with client.get(
        await daemon.metrics_url(), headers={"Accept-Encoding": "identity"}
    ) as response:
        lines = (await response.text()).splitlines()
    rows = (line.split() for line in lines if line.startswith(f"{LOST}{{"))
    return {row[0].split('"')[1]: float(row[1]) for row in rows}


async def ask(client, daemon, times):
    for _ in range(times):
        async with asyncio.timeout(5), client.post(daemon.url + PATH, json=BODY) as response:
            assert response.status == 200
            await response.read()


async def ends(daemon) -> int:
    daemon.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        return await daemon.process.wait()


@pytest.mark.parametrize("stuck", ["named pipe", "standard output"], indirect=True)
async def test_a_reader_that_has_stopped_holds_nobody_up(start_daemon, client, stuck):
    (_, place), options = stuck
    flags = ("--log-json", place, "--aibridge-structured-logging")
    daemon = await start_daemon(*flags, **options, **METRICS)
    await ask(client, daemon, ENOUGH)
    async with asyncio.timeout(30):  # a prompt's line comes with its commit, which may be late
        while not (counts := await lost(client, daemon))["too_slow"]:
            await ask(client, daemon, 10)
    assert counts["unwritable"] == counts["unformattable"] == 0
    said = [line for line in daemon.log if "are being lost" in line]
    assert said == [
        f"aibridged: log lines are being lost: {place} can't be written: "
        "it takes lines too slowly\n"
    ]
    assert await ends(daemon) == 0


async def test_a_full_disk_puts_nothing_of_a_request_on_standard_error(start_daemon, client):
    daemon = await start_daemon("--log-json", "/dev/full", **METRICS)
    await ask(client, daemon, 20)
    assert (await lost(client, daemon))["unwritable"] > 20
    assert await ends(daemon) == 0
    others = [line for line in daemon.log if not A_LINE.match(line)]
    assert others == [
        "aibridged: log lines are being lost: /dev/full can't be written: No space left on device\n"
    ]
    assert "canary" not in "".join(daemon.log)
