"""`aibridged db backup` and `restore`, as an operator types them."""

import os
import shlex
import subprocess

import pytest
import sqlalchemy as sa

from aibridged.records.migrations import newest
from aibridged.records.schema import PARTITIONED
from aibridged.records.spool import SPOOL_FILE, Spool

POSTGRES = {"CODER_PG_CONNECTION_URL": "postgres://me:s3cret@db.example:5432/rec?password=s3cret"}


@pytest.fixture
def state(tmp_path):
    return {"CODER_STATE_DIR": str(tmp_path / "state")}


def test_a_backup_brings_back_who_was_there(run, state, tmp_path):
    file = str(tmp_path / "backup.db")
    run("users", "create", "alice", environ=state)
    backed_up = run("db", "backup", file, environ=state)
    assert backed_up.returncode == 0
    assert backed_up.stdout == (
        f"Backed up {tmp_path}/state/aibridged.db to {file}: 0.4 MB, schema {newest()}, 1 user,"
        " 0 tokens, 0 interceptions.\n"
    )
    assert "mcp-credentials.key" in backed_up.stderr
    run("users", "create", "bob", environ=state)
    spool = Spool(tmp_path / "state" / SPOOL_FILE)
    spool.open()
    refused = run("db", "restore", file, environ=state)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "systemctl stop" in refused.stderr
    spool.close()
    restored = run("db", "restore", file, environ=state)
    assert restored.returncode == 0
    assert restored.stdout.startswith(f"Restored {file} to {tmp_path}/state/aibridged.db: ")
    assert f"What it replaces is in {tmp_path}/state/replaced-" in restored.stdout
    listed = run("users", "list", environ=state).stdout
    assert "alice" in listed
    assert "bob" not in listed


def test_nothing_is_made_by_mistake(run, state, tmp_path):
    backed_up = run("db", "backup", str(tmp_path / "backup.db"), environ=state)
    assert (backed_up.returncode, backed_up.stdout) == (1, "")
    assert "There is no database at " in backed_up.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "backup",
            "  pg_dump --format=custom --file='a b' --dbname=postgresql://me@db.example:5432/rec\n",
        ),
        (
            "restore",
            "  pg_restore --clean --if-exists --no-owner --single-transaction"
            " --dbname=postgresql://me@db.example:5432/rec 'a b'\n",
        ),
    ],
)
def test_for_postgres_it_says_the_command_without_the_password(run, command, says):
    said = run("db", command, "a b", environ=POSTGRES)
    assert said.returncode == 1
    assert says in said.stderr
    assert "s3cret" not in said.stderr


def test_the_commands_that_it_says_for_postgres_work(
    run, postgres_server, postgres_database, tmp_path
):
    url = postgres_database.url.render_as_string(hide_password=False)
    environ = {"CODER_PG_CONNECTION_URL": url, "CODER_STATE_DIR": str(tmp_path / "state")}
    run("users", "create", "alice", environ=environ)
    file = str(tmp_path / "dump")
    programs = str(postgres_server.binaries)
    for command in ("backup", "restore"):
        said = run("db", command, file, environ=environ).stderr
        for line in (line for line in said.splitlines() if line.startswith("  ")):
            subprocess.run(shlex.split(line), check=True, env={**os.environ, "PATH": programs})
        if command == "backup":
            run("users", "create", "bob", environ=environ)
    listed = run("users", "list", environ=environ).stdout
    assert "alice" in listed
    assert "bob" not in listed
    partitions = {f"{table}_default" for table in PARTITIONED}
    assert partitions <= set(sa.inspect(postgres_database.engine).get_table_names())
