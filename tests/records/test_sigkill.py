"""SIGKILL at any moment under load: what was promised is there, once, in an intact database."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from aibridged.records import schema

PROGRAM = Path(__file__).with_name("recorder_under_load.py")


def killed(arguments: list[str], after: int) -> set[str]:
    """Run the program, kill it after that many starts; all starts that it said are committed."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])},
    ) as process:
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    assert all(lines), "it ended by itself"
    return {line.strip() for line in lines if line.endswith("\n")}


@pytest.mark.parametrize("rounds", [8])
async def test_every_start_that_was_promised_has_its_row(database, make_recorder, rounds):
    url = database.url.render_as_string(hide_password=False)
    arguments = [str(database.state_dir), *([] if database.is_sqlite else [url])]
    promised: set[str] = set()
    kills = rounds if database.is_sqlite else rounds // 2
    for _ in range(kills):
        # A random moment within the work: of commits, flushes and checkpoints.
        told = killed(arguments, after=random.randint(1, 1500))
        assert not told & promised
        promised |= told
    successor = await make_recorder(database)
    await successor.close()
    rows = {row["id"]: row for row in database.rows(schema.interceptions)}
    assert promised <= rows.keys()
    assert {row["outcome"] for row in rows.values()} <= {"completed", "interrupted"}
    assert database.open_count() == 0
    completed = {id for id, row in rows.items() if row["outcome"] == "completed"}
    for table in (schema.user_prompts, schema.token_usages):
        owners = [row["interception_id"] for row in database.rows(table)]
        assert len(owners) == len(set(owners)), "doubled"
        # Whole or not there, but for what was being written to the journal: the system ends a write
        # at the end of a page when the process is killed, so that the last line can be missing.
        assert completed <= set(owners)
        assert len(owners) - len(completed) <= kills
    assert successor.stats.records_lost == 0
    if database.is_sqlite:
        with database.engine.connect() as connection:
            for check in ("integrity_check", "foreign_key_check"):
                assert connection.exec_driver_sql(f"PRAGMA {check}").scalar() in ("ok", None)
