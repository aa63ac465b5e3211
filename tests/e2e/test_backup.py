"""The way of docs/backup.md: backup of a daemon at work, upgrade, erasure, restore, and back."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command as alembic_command
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.records.migrations import _config, newest

BODY = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "marzipan-in-the-cellar"}],
}


class Operator:
    """Runs commands on the daemon's state directory."""

    def __init__(self, state_dir):
        self._state_dir = str(state_dir)

    async def __call__(self, *args, status=0):
        command = [*args, "--state-dir", self._state_dir]
        done = await asyncio.to_thread(CliRunner().invoke, build(), command)
        assert done.exit_code == status, done.output
        return done.output


async def ask(client, daemon, token, status=200):
    async with client.post(
        f"{daemon.url}/anthropic/v1/messages",
        json=BODY,
        headers={"Authorization": f"Bearer {token}"},
    ) as response:
        await response.read()
        assert response.status == status


async def stop(daemon):
    daemon.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        await daemon.process.wait()


def count(file, where="1"):
    with closing(sqlite3.connect(file)) as database:
        statement = f"SELECT count(*) FROM aibridge_interceptions WHERE {where}"
        return database.execute(statement).fetchone()[0]


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.mark.drill
async def test_the_way_of_the_guide(start_daemon, client, state, tmp_path):
    operator, backup = Operator(state), tmp_path / "aibridged-before-upgrade.db"
    settings = {"CODER_STATE_DIR": str(state), "CODER_AIBRIDGE_AUTH": "token"}
    daemon = await start_daemon(**settings)
    await operator("users", "create", "alice")
    said = await operator("tokens", "create", "--user", "alice")
    token = said.split()[0]
    for _ in range(5):
        await ask(client, daemon, token)

    # A backup while the daemon is at work.
    going = True

    async def work():
        for _ in range(40):
            if not going:
                break
            await ask(client, daemon, token)

    async with asyncio.TaskGroup() as group:
        working = [group.create_task(work()) for _ in range(3)]
        said = await operator("db", "backup", str(backup))
        going = False
    assert not any(task.exception() for task in working)
    assert f"schema {newest()}, 1 user, 1 token, " in said
    assert 5 <= (kept := count(backup)) <= count(state / "aibridged.db")
    assert "stop it first" in await operator("db", "restore", str(backup), status=1)

    # A user is erased: nothing of the texts is left in the state directory of a running daemon.
    await operator("users", "erase", "alice", "--yes")
    assert count(state / "aibridged.db", "username = '(erased)'") >= kept
    await ask(client, daemon, token, status=401)
    for file in filter(Path.is_file, state.iterdir()):
        assert b"marzipan" not in file.read_bytes(), file

    # Back to the backup: who was there is there again, and what was replaced is kept.
    await stop(daemon)
    said = await operator("db", "restore", str(backup))
    assert "What it replaces is in " in said
    [replaced] = state.glob("replaced-*")
    assert count(replaced / "aibridged.db", "username = '(erased)'") >= kept
    daemon = await start_daemon(**settings)
    await ask(client, daemon, token)
    await stop(daemon)
    assert count(state / "aibridged.db", "ended_at IS NULL") == 0
    assert count(state / "aibridged.db", "username = 'alice'") == kept + 1


async def test_going_back_to_an_earlier_release_takes_its_backup(start_daemon, state, tmp_path):
    """A later release is made of this one by a revision that doesn't exist."""
    operator, backup = Operator(state), tmp_path / "before.db"
    settings = {"CODER_STATE_DIR": str(state)}
    await operator("db", "upgrade")
    await operator("db", "backup", str(backup))
    with closing(sqlite3.connect(state / "aibridged.db")) as database:
        database.execute("UPDATE aibridged_schema_version SET version_num = '9999'")
        database.commit()
    await operator("db", "check", status=1)
    later = tmp_path / "later.db"
    said = await operator("db", "backup", str(later), status=1)
    assert "later release" in said
    await operator("db", "restore", str(backup))
    assert "current" in await operator("db", "check")
    daemon = await start_daemon(**settings)
    await stop(daemon)


async def test_the_backup_of_an_earlier_release_is_upgraded_at_the_start(
    start_daemon, state, tmp_path
):
    operator, backup = Operator(state), tmp_path / "earlier.db"
    engine, config = sa.create_engine(f"sqlite:///{backup}"), _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, "0009")
    said = await operator("db", "restore", str(backup))
    assert "the daemon upgrades it when it starts" in said
    daemon = await start_daemon(CODER_STATE_DIR=str(state))
    await stop(daemon)
    assert "current" in await operator("db", "check")
