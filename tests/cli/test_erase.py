"""`aibridged users erase`, as an operator types it."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build, confirmation, erase
from aibridged.records.database import database_url, make_engine
from tests.migrated import migrate


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command on a state directory of the test's own."""
    monkeypatch.setenv("CODER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args):
        return CliRunner().invoke(build(asked_for(args)), args)

    return run


@pytest.fixture
def ids(tmp_path, populate):
    """A database with alice's records; the ids of its users by their names."""
    migrate(tmp_path)
    engine = make_engine(database_url(tmp_path))
    populate(engine, models=["claude", "gpt"])
    with sqlite3.connect(tmp_path / "aibridged.db") as database:
        database.execute(
            "UPDATE aibridge_interceptions SET initiator_id ="
            " (SELECT id FROM aibridged_users WHERE username = 'alice')"
        )
        found = dict(database.execute("SELECT username, id FROM aibridged_users"))
    database.close()
    return found


def audit(tmp_path):
    with sqlite3.connect(tmp_path / "aibridged.db") as database:
        found = database.execute("SELECT action, target, before FROM aibridged_audit").fetchall()
    database.close()
    return found


def test_it_says_beforehand_what_goes_and_asks(run, ids, tmp_path, monkeypatch):
    monkeypatch.setattr(confirmation, "is_terminal", lambda: True)
    asked = run("users", "erase", "alice")
    assert asked.exit_code == 1
    assert f"\nalice ({ids['alice']})\n  Deleted:     prompts " in asked.stderr
    assert "Kept:        interceptions 2, without a person" in asked.stderr
    assert "Not reached: log files" in asked.stderr
    assert asked.stderr.rstrip().endswith("Cancelled.")
    assert "user.erase" not in [action for action, _, _ in audit(tmp_path)]
    assert "alice" in run("users", "list").stdout


def test_who_is_erased_is_nowhere_but_in_the_audit_log_by_id(run, ids, tmp_path):
    erased = run("users", "erase", "alice", "--yes")
    assert (erased.exit_code, erased.stdout) == (
        0,
        f"Erased alice. The audit log has it under the id {ids['alice']}.\n",
    )
    *earlier, (action, target, before) = audit(tmp_path)
    assert (action, target) == ("user.erase", ids["alice"])
    assert [each for each in earlier if each[1] == target and each[2]] == []
    assert json.loads(before)["interceptions"] == 2
    for command in (("users", "list"), ("usage", "--by", "user"), ("interceptions", "list")):
        said = run(*command)
        assert said.exit_code == 0
        assert "alice" not in said.stdout
    assert "(erased)" in run("usage", "--by", "user").stdout
    assert b"alice" not in (tmp_path / "aibridged.db").read_bytes()
    again = run("users", "erase", "alice", "--yes")
    assert again.exit_code == 1
    assert "There is no user 'alice'" in again.stderr


def test_of_two_who_had_the_name_the_id_chooses(run, ids):
    run("users", "delete", "alice", "--yes")
    run("users", "create", "alice")
    which = run("users", "erase", "alice", "--yes")
    assert which.exit_code == 1
    assert "\n2 users have or had the name alice: say which by the id.\n" in which.stderr
    assert f"  {ids['alice']}  created 2026-" in which.stderr
    erased = run("users", "erase", ids["alice"], "--yes", "-o", "json")
    told = json.loads(erased.stdout)
    assert (told["id"], told["erased"]["interceptions"]) == (ids["alice"], 2)
    assert not any(told["left"].values())
    assert "alice" in run("users", "list").stdout, "the other one"


def test_of_what_has_not_ended_it_says_how_to_go_on(run, ids, tmp_path, monkeypatch):
    with sqlite3.connect(tmp_path / "aibridged.db") as database:
        database.execute("UPDATE aibridge_interceptions SET ended_at = NULL WHERE model = 'gpt'")
    database.close()
    monkeypatch.setattr(erase, "PATIENCE_S", 0)
    left = run("users", "erase", "alice", "--yes")
    assert left.exit_code == 1
    assert "Left: 1 request, 1 still running" in left.stderr
    assert f"users erase {ids['alice']}` again" in left.stderr


def test_daemons_that_share_a_redis_are_told_before_it_waits_for_them(run, ids, monkeypatch):
    monkeypatch.setenv("CODER_AIBRIDGE_REDIS_URL", "redis://127.0.0.1:1")
    erased = run("users", "erase", "alice", "--yes")
    assert erased.exit_code == 0
    assert "Redis is away at redis://127.0.0.1:1 (" in erased.stderr
