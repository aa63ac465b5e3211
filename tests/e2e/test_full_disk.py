"""The disk is full when the daemon stops: what has begun is on record after the next start."""

import asyncio
import os
import re
import resource
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from aibridged.fake_provider import Script
from tests.e2e.conftest import LISTENS, daemon_environment
from tests.processes import children

pytestmark = pytest.mark.drill

MESSAGES = "/anthropic/v1/messages"
REQUEST = {
    "model": "m",
    "max_tokens": 9,
    "stream": True,
    "messages": [{"role": "user", "content": "from cache"}],
}
# The journal's 8 MiB, the database, and little else.
DISK = "12m"
STREAMS = 20
RUNS = """
mount -t tmpfs -o size={size} tmpfs {state} || exit 77
{python} -m aibridged serve
echo "ended with $?" >&2
rm {state}/filler
exec {python} -m aibridged serve
"""


@pytest.fixture
async def shell(program, fake, tmp_path):
    """A shell that runs two daemons, one after the other, on a small disk of its own."""
    script = RUNS.format(
        size=DISK, state=shlex.quote(str(tmp_path)), python=shlex.quote(sys.executable)
    )
    process = await asyncio.create_subprocess_exec(
        program("unshare"),
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        script,
        env=daemon_environment(fake.base_url, str(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
    )
    yield process
    if process.returncode is None:
        with suppress(ProcessLookupError):
            for child in children(process.pid):
                os.kill(child, 9)
            process.kill()
    await process.wait()


async def line_with(shell, pattern, log):
    """The match in the first line that has one."""
    async with asyncio.timeout(20):
        while line := (await shell.stderr.readline()).decode():
            log.append(line)
            if match := re.search(pattern, line):
                return match
    if await shell.wait() in (1, 77) and not any("aibridged" in line for line in log):
        pytest.skip(f"NOT TESTED: no disk can be mounted here: {log}")
    return pytest.fail("".join(log))


def fill(path):
    """Let the file take what is left; how much that was."""
    before = path.stat().st_size if path.exists() else 0
    with suppress(OSError), path.open("ab", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return path.stat().st_size - before


async def test_what_has_begun_is_recorded_at_the_next_start(shell, client, fake, tmp_path):
    log: list[str] = []
    url = (await line_with(shell, LISTENS, log))[1]
    gate = asyncio.Event()
    fake.play(Script(before_write={4: gate}, times=STREAMS))

    async def post():
        async with client.post(url + MESSAGES, json=REQUEST) as response:
            return response.status, await response.read()

    streams = [asyncio.get_running_loop().create_task(post()) for _ in range(STREAMS)]
    await fake.received(STREAMS)
    pid = shell.pid
    filler = Path(f"/proc/{pid}/root{tmp_path}/filler")
    fill(filler)
    while (await post())[0] == 200:
        pass  # a few rows find room in what SQLite has
    fill(filler)
    gate.set()
    for status, body in await asyncio.gather(*streams):
        assert (status, b"message_stop" in body) == (200, True)
    seen = fake.seen
    [daemon] = children(pid)
    os.kill(daemon, 15)
    assert (await line_with(shell, "ended with (.*)", log))[1] == "0"
    assert any("records are in the journal only" in line for line in log), "".join(log)
    url = (await line_with(shell, LISTENS, log))[1]
    async with client.get(url + "/api/v2/aibridge/interceptions") as response:
        found = (await response.json())["results"]
    assert len(found) >= seen
    assert {each["ended_at"] is not None for each in found} == {True}
    usages = [usage["output_tokens"] for each in found for usage in each["token_usages"]]
    assert sorted(usages) == sorted(request.usage.output for request in fake.requests)


async def test_a_loss_is_never_a_clean_exit(daemon_in_front_of, client, fake, tmp_path):
    """Nothing can be written at all, not even to the journal."""
    gate = asyncio.Event()
    fake.play(Script(before_write={4: gate}))
    async with daemon_in_front_of(fake.base_url, CODER_STATE_DIR=str(tmp_path)) as daemon:
        url = daemon.url + MESSAGES

        async def post():
            async with client.post(url, json=REQUEST) as response:
                return response.status, await response.read()

        streaming = asyncio.get_running_loop().create_task(post())
        await fake.received()
        # No file may be longer than that.
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        assert (await post())[0] == 503
        gate.set()
        assert (await streaming)[0] == 200
        daemon.process.terminate()
        assert await daemon.process.wait() == 1
        await daemon.until("records are lost")
