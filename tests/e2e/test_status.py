"""`aibridged status`, asked of the real daemon as a process, and of what is no daemon."""

import asyncio
import json
import signal
import socket
import stat
import sys
from contextlib import closing

import aiohttp
import pytest

from aibridged.core.breaker import BreakerKey
from aibridged.daemon.status_report import MOST, decoded
from aibridged.daemon.status_socket import DAEMON, address
from aibridged.fake_provider import Script
from tests.e2e.conftest import daemon_environment

PATH = "/anthropic/v1/messages"
REQUEST = {
    "model": "claude-of-a-test",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


async def test_a_busy_daemon_says_what_it_does(start_daemon, fake, state, command):
    daemon = await start_daemon(
        CODER_STATE_DIR=str(state),
        CODER_AIBRIDGE_RATE_LIMIT="3",
        CODER_AIBRIDGE_MAX_CONCURRENCY="7",
        CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED="true",
    )
    fake.play(Script(delay=60))
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{daemon.url}{PATH}", json=REQUEST) as running,
    ):
        assert running.status == 200
        statuses = []
        while 529 not in statuses or 429 not in statuses:
            overloaded = {**REQUEST, "model": "fake-status-529"}
            async with session.post(f"{daemon.url}{PATH}", json=overloaded) as response:
                statuses.append(response.status)
        asked = await command("status", "-o", "json", "--state-dir", str(state))
        shown = await command("status", CODER_STATE_DIR=str(state))
    assert (asked.status, asked.err) == (0, "")
    said = json.loads(asked.out)
    assert said["pid"] == daemon.process.pid
    assert said["state"] == "serving"
    assert said["listeners"] == [
        {"what": "gateway", "url": daemon.url},
        {"what": "web page", "url": f"{daemon.url}/ui/"},
    ]
    assert said["database"]["kind"] == "SQLite"
    assert said["database"]["location"] == f"{state}/aibridged.db"
    assert said["database"]["last_commit_s"] < 60
    assert said["requests"]["in_flight"] == said["requests"]["slots_in_use"] == 1
    assert said["requests"]["slots"] == 7
    assert said["requests"]["by_model"] == [
        {"provider": "anthropic", "model": "claude-of-a-test", "count": 1}
    ]
    assert said["rate_limit"] == {"rate": 3, "refused_callers": 1, "within_s": 60}
    (circuit,) = said["circuits"]["troubled"]
    failures = min(statuses.count(529), 5)
    assert circuit["failures"] == failures
    assert circuit["state"] == ("open" if failures == 5 else "closed")
    assert (circuit["endpoint"], circuit["model"], circuit["key"]) == (
        "/v1/messages",
        "fake-status-529",
        "centralized",
    )
    assert said["clients"]["busy"] >= 1
    assert said["process"]["resident_bytes"] > 1 << 20
    assert said["process"]["descriptors"] > 3
    assert (shown.status, shown.err) == (0, "")
    assert f"{state}/aibridged.db" in shown.out, "nothing is cut in a pipe"
    assert f"1  anthropic  {REQUEST['model']}" in shown.out
    assert "1 caller refused" in shown.out


async def test_the_document_is_bounded_and_has_no_token(start_gateway):
    """Callers name the models, and may paste a token there."""
    gateway = await start_gateway(circuit_breaker_enabled=True)
    components, token = gateway.components, "aib_abcdefghij_" + "S" * 43
    for number in range(3000):
        model = f"{token}-{number}-{'x' * 1000}"
        components.running.began(("anthropic", model, "/v1/messages"))
        key = BreakerKey("anthropic", "/v1/messages", model, f"hash-{number}")
        components.breakers.admit(key).failure()
    document = await gateway.status_service.document()
    assert len(document) < 100_000
    assert b"S" * 43 not in document
    assert b"hash" not in document, "a hash of a caller's key is its own business"
    said = decoded(document)
    assert (len(said.requests.by_model), said.requests.left_out) == (MOST, 3000 - MOST)
    assert (len(said.circuits.troubled), said.circuits.left_out) == (MOST, 3000 - MOST)
    assert said.rate_limit is None


async def test_the_socket_is_private_and_is_one_daemons(start_daemon, fake, tmp_path, command):
    """Also where its path is longer than a Unix socket's may be."""
    state = tmp_path / ("a-long-name-" * 9) / "state"
    state.mkdir(mode=0o700, parents=True)
    with closing(socket.socket(socket.AF_UNIX)) as left, address(state, DAEMON) as path:
        left.bind(path)  # as a killed daemon leaves it
    daemon = await start_daemon(CODER_STATE_DIR=str(state))
    inode = (state / DAEMON).stat().st_ino
    assert stat.S_IMODE((state / DAEMON).stat().st_mode) == 0o600
    second = await command("serve", **daemon_environment(fake.base_url, str(state)))
    assert second.status == 1
    assert "Another aibridged is using the state directory" in second.err
    assert "`aibridged status` tells its process id" in second.err
    assert (state / DAEMON).stat().st_ino == inode
    asked = await command("status", "-o", "json", "--state-dir", str(state))
    assert json.loads(asked.out)["pid"] == daemon.process.pid
    daemon.process.terminate()
    await daemon.process.wait()
    assert not (state / DAEMON).exists()
    gone = await command("status", "--state-dir", str(state))
    assert (gone.status, gone.out) == (1, "")
    assert gone.err == (
        f"No daemon is running with the state directory {state}. Start it with `aibridged serve`, "
        "or set --state-dir to that of the one that is running.\n"
    )


async def test_commands_ask_the_running_daemon(start_daemon, state, command):
    daemon = await start_daemon(CODER_STATE_DIR=str(state))
    made = await command("users", "create", "alice", "--state-dir", str(state))
    assert (made.status, made.err) == (0, ""), "the daemon's database needs no remark"
    # The state directory is the daemon's; the variable of its database is missing, or another.
    url = "postgres://someone:hunter2@127.0.0.1:1/elsewhere"
    listed = await command("users", "list", "--state-dir", str(state), CODER_PG_CONNECTION_URL=url)
    assert listed.status == 1
    assert "Using the database postgresql://127.0.0.1:1/elsewhere" in listed.err
    assert f"another database, {state}/aibridged.db" in listed.err
    assert "hunter2" not in listed.err
    await _is_watched_until_it_is_interrupted(state)
    daemon.process.send_signal(signal.SIGSTOP)
    stopped = await command("status", "--state-dir", str(state))
    daemon.process.send_signal(signal.SIGCONT)
    assert stopped.status == 1
    assert "does not answer within" in stopped.err


async def _is_watched_until_it_is_interrupted(state):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aibridged", "status", "--watch", "--state-dir", str(state)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        seen = 0
        while seen < 2:
            seen += (await process.stdout.readline()).startswith(b"aibridged ")
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
