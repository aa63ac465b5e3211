"""`aibridged users`, as a person would use it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aibridged.cli import asked_for, build, confirmation
from aibridged.cli.users import users

Invoke = Callable[..., Result]

UNUSED = (
    "Note: no daemon has used this database so far. One with another --state-dir or "
    "CODER_PG_CONNECTION_URL won't know this user.\n"
)


@pytest.fixture
def invoke(invoke_on_a_store: Callable[[typer.Typer], Invoke]) -> Invoke:
    return invoke_on_a_store(users())


@pytest.fixture
def run_on_a_store(invoke: Invoke, tmp_path: Path) -> Callable[..., Result]:
    """Runs any command on the test's own store."""

    def run(*args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(
            build(asked_for(args)), [*args, "--state-dir", str(tmp_path)], input=input
        )

    return run


def test_users_are_made_and_listed(invoke: Invoke) -> None:
    made = invoke("create", "alice", "--name", "Alice", "--email", "alice@example.com", "--admin")
    assert made.exit_code == 0
    assert made.stdout.startswith("Created the user alice in ")
    assert made.stderr == UNUSED
    invoke("create", "bob")
    listed = invoke("list")
    assert (listed.exit_code, listed.stderr) == (0, "")
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert lines[0] == [
        "USERNAME", "NAME", "EMAIL", "ROLE", "STATUS", "GROUPS", "LAST", "SEEN", "ID",
    ]  # fmt: skip
    assert lines[1][:6] == ["alice", "Alice", "alice@example.com", "admin", "active", "never"]
    assert lines[2][:4] == ["bob", "user", "active", "never"]
    ids = [user["id"] for user in json.loads(invoke("list", "-o", "json").stdout)]
    assert [line[-1] for line in lines[1:]] == ids


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
        "is_robot": False,
        "groups": [],
        "last_seen_at": None,
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
    done = invoke("delete", "alice", "--yes")
    assert done.stdout.startswith("Deleted alice.")
    assert "alice" not in invoke("list").stdout


def test_a_robot_is_told_from_people(invoke: Invoke) -> None:
    invoke("create", "ci-runner", "--robot")
    invoke("create", "auditor", "--robot", "--admin")
    roles = [line.split()[1:3] for line in invoke("list").stdout.splitlines()[1:]]
    assert roles == [["robot", "admin"], ["robot", "active"]]


def test_without_a_terminal_nobody_is_deleted_who_is_not_confirmed(invoke: Invoke) -> None:
    invoke("create", "alice")
    refused = invoke("delete", "alice")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == (
        "Nothing was changed: without a terminal there is nobody to ask. Add --yes.\n"
    )
    assert "alice" in invoke("list").stdout


@pytest.mark.parametrize(("answer", "status", "left"), [("n\n", 1, True), ("y\n", 0, False)])
def test_on_a_terminal_it_asks(
    run_on_a_store: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: int,
    left: bool,
) -> None:
    monkeypatch.setattr(confirmation, "is_terminal", lambda: True)
    run_on_a_store("users", "create", "alice")
    run_on_a_store("tokens", "create", "--user", "alice")
    asked = run_on_a_store("users", "delete", "alice", input=answer)
    assert asked.exit_code == status
    assert "Delete alice and revoke 1 token? [y/N]" in asked.stderr
    assert ("alice" in run_on_a_store("users", "list").stdout) is left


def test_a_user_is_edited(run_on_a_store: Callable[..., Result]) -> None:
    run = run_on_a_store
    run("groups", "create", "staff")
    run("groups", "create", "ops")
    run("users", "create", "alice", "--group", "staff", "--email", "a@example.com")
    edit = ("--username", "alicia", "--name", "Alicia", "--email", "", "--admin")
    done = run("users", "edit", "alice", *edit, "--group", "ops", "--group", "staff")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("Changed alicia. A running daemon notices within a minute")
    [user] = json.loads(run("users", "list", "-o", "json").stdout)
    assert (user["username"], user["name"], user["email"]) == ("alicia", "Alicia", None)
    assert (user["is_admin"], user["groups"]) == (True, ["ops", "staff"])
    edited = json.loads(
        run("users", "edit", "alicia", "--no-admin", "--group", "", "-ojson").stdout
    )
    assert (edited["is_admin"], edited["groups"], edited["name"]) == (False, [], "Alicia")


def test_an_edit_of_nothing_is_a_usage_error(run_on_a_store: Callable[..., Result]) -> None:
    run_on_a_store("users", "create", "alice")
    failed = run_on_a_store("users", "edit", "alice")
    assert failed.exit_code == 2
    assert "nothing to change: give --username, --name" in failed.output


def test_a_file_is_imported(run_on_a_store: Callable[..., Result], tmp_path: Path) -> None:
    run = run_on_a_store
    run("groups", "create", "staff")
    run("users", "create", "bob")
    file = tmp_path / "people.csv"
    file.write_text("username,name,admin,groups\nann,Ann,true,staff\nbob,Bob,,\n")
    failed = run("users", "import", str(file))
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.splitlines() == [
        "Line 3: bob exists already: --update changes existing users.",
        "Nothing was changed.",
    ]
    tried = run("users", "import", str(file), "--update", "--dry-run")
    assert tried.stdout == (
        "Nothing was changed; without --dry-run: 1 user created, 1 changed, 0 unchanged.\n"
    )
    done = run("users", "import", str(file), "--update")
    assert done.stdout == "1 user created, 1 changed, 0 unchanged.\n"
    again = run("users", "import", str(file), "--update", "-o", "json")
    assert json.loads(again.stdout) == {"created": [], "changed": [], "unchanged": ["ann", "bob"]}
    missing = run("users", "import", str(tmp_path / "none.csv"))
    assert (missing.exit_code, "can't be read: No such file" in missing.stderr) == (1, True)


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


def test_somebody_who_has_not_signed_in_is_signed_out_all_the_same(invoke: Invoke) -> None:
    invoke("create", "alice")
    out = invoke("sign-out", "alice")
    assert (out.exit_code, out.stdout) == (0, "Signed alice out: 0 sign-ins ended.\n")
    told = invoke("sign-out", "alice", "--output", "json")
    assert json.loads(told.stdout) == {"username": "alice", "ended": 0}
    nobody = invoke("sign-out", "alcie")
    assert nobody.exit_code == 1
    assert "Did you mean alice?" in nobody.stderr
