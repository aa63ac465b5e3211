"""`aibridged users`, as a person would use it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import Result

from aibridged.cli.users import users

Invoke = Callable[..., Result]

UNUSED = (
    "Note: no daemon has used this database so far. One with another --state-dir or "
    "CODER_PG_CONNECTION_URL won't know this user.\n"
)


@pytest.fixture
def invoke(invoke_on_a_store: Callable[[typer.Typer], Invoke]) -> Invoke:
    return invoke_on_a_store(users())


def test_users_are_made_and_listed(invoke: Invoke) -> None:
    made = invoke("create", "alice", "--name", "Alice", "--email", "alice@example.com", "--admin")
    assert made.exit_code == 0
    assert made.stdout.startswith("Created the user alice in ")
    assert made.stderr == UNUSED
    invoke("create", "bob")
    listed = invoke("list")
    assert (listed.exit_code, listed.stderr) == (0, "")
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert lines[0] == ["USERNAME", "NAME", "EMAIL", "ROLE", "STATUS", "CREATED"]
    assert lines[1][:5] == ["alice", "Alice", "alice@example.com", "admin", "active"]
    assert lines[2][:3] == ["bob", "user", "active"]


def test_an_empty_list_says_where_it_looked(invoke: Invoke, tmp_path: Path) -> None:
    listed = invoke("list")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert listed.stderr == f"There are no users in {tmp_path}/aibridged.db.\n"


def test_the_same_as_json(invoke: Invoke) -> None:
    assert json.loads(invoke("list", "--output", "json").stdout) == []
    made = json.loads(invoke("create", "alice", "-o", "json").stdout)
    assert made == {
        "id": made["id"],
        "username": "alice",
        "name": "",
        "email": None,
        "status": "active",
        "is_admin": False,
        "created_at": made["created_at"],
    }
    suspended = json.loads(invoke("suspend", "alice", "-o", "json").stdout)
    assert suspended == {**made, "status": "suspended"}
    assert json.loads(invoke("list", "-o", "json").stdout) == [suspended]


def test_a_user_is_suspended_resumed_and_deleted(invoke: Invoke) -> None:
    invoke("create", "alice")
    for command, status in (("suspend", "suspended"), ("resume", "active")):
        done = invoke(command, "alice")
        assert (done.exit_code, done.stderr) == (0, "")
        assert "running daemon" in done.stdout
        assert status in invoke("list").stdout.splitlines()[1]
    done = invoke("delete", "alice")
    assert done.stdout.startswith("Deleted alice.")
    assert "alice" not in invoke("list").stdout


@pytest.mark.parametrize("command", ["suspend", "resume", "delete"])
def test_an_unknown_user_is_answered_with_the_nearest(invoke: Invoke, command: str) -> None:
    invoke("create", "alice")
    failed = invoke(command, "alcie")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "There is no user 'alcie'. Did you mean alice?\n"


def test_a_second_user_of_the_name_is_refused(invoke: Invoke) -> None:
    invoke("create", "alice")
    failed = invoke("create", "alice")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("The user alice already exists. Choose another username")


def test_a_name_that_is_no_username_is_answered_with_one(invoke: Invoke) -> None:
    failed = invoke("create", "Bob Smith")
    assert failed.exit_code == 1
    assert "such as bob-smith." in failed.stderr


@pytest.mark.parametrize("command", ["suspend", "delete"])
def test_help_says_when_a_running_daemon_notices(invoke: Invoke, command: str) -> None:
    shown = invoke(command, "--help").stdout
    assert "within a few seconds" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
