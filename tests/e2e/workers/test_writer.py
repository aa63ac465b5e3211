"""Several workers on SQLite: one process writes for all, and is replaced without a loss."""

import asyncio
import json
import os
import re
import signal

import aiohttp

from aibridged.daemon.status_socket import ask
from aibridged.fake_provider import Script
from aibridged.records.schema import interceptions, token_usages
from tests.e2e.workers.conftest import Group
from tests.waiting import until


async def test_requests_go_on_while_the_writer_is_replaced_and_all_is_on_record(
    start_daemon, fake, sqlite_database
):
    settings = {
        "CODER_AIBRIDGE_WORKERS": "2",
        "CODER_STATE_DIR": str(sqlite_database.state_dir),
        "CODER_PROMETHEUS_ENABLE": "true",
        "CODER_PROMETHEUS_ADDRESS": "127.0.0.1:0",
    }
    group = Group(await start_daemon(**settings))
    await group.until("2 workers serve")
    assert len(group.said("listens on")) == 1
    (writer,) = group.writers
    assert len(group.workers) == 2

    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}, times=8))
    tasks = [asyncio.get_running_loop().create_task(group.ask()) for _ in range(8)]
    await fake.received(8)
    assert sqlite_database.open_count() == 8
    os.kill(writer, signal.SIGKILL)
    await group.until("was killed by SIGKILL")
    await group.until("serves again")
    assert sqlite_database.open_count() == 8, "their workers live"
    gate.set()
    assert await asyncio.gather(*tasks) == [(200, True)] * 8
    await group.until("is there again", 2)  # both workers have connected
    assert await group.ask() == (200, True)
    await until(lambda: sqlite_database.open_count() == 0)

    # What it has written is in the status and the metrics of the daemon.
    status = json.loads(await asyncio.to_thread(ask, sqlite_database.state_dir))
    assert [each["name"] for each in status["workers"]] == ["Writer 1", "Worker 1", "Worker 2"]
    assert status["workers"][0]["restarts"] == 1
    assert status["database"]["last_commit_s"] is not None
    async with aiohttp.ClientSession() as client:
        text = await (await client.get(await group.daemon.metrics_url())).text()
    (commits,) = re.findall(r"^aibridged_recorder_commit_seconds_count (\d+)", text, re.MULTILINE)
    assert int(commits) > 0
    assert 'process_resident_memory_bytes{worker="writer"}' in text

    # The writer ends last, though the signal is sent to all.
    for pid in (*group.workers, *group.writers, group.daemon.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert await group.ended() == 0
    await group.outputs_closed()
    rows = sqlite_database.rows(interceptions)
    assert {row["outcome"] for row in rows} <= {"completed", "failed"}
    completed = [row["id"] for row in rows if row["outcome"] == "completed"]
    assert len(completed) == 9
    owners = [row["interception_id"] for row in sqlite_database.rows(token_usages)]
    assert sorted(owners) == sorted(completed)
    assert not [*sqlite_database.state_dir.glob("worker-journal*")]
    assert not (sqlite_database.state_dir / "writer.sock").exists()
