"""`aibridged groups`, as a person would use it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aibridged.cli import asked_for, build, confirmation
from aibridged.cli.groups import groups


@pytest.fixture
def run(invoke_on_a_store: Callable[..., object], tmp_path: Path) -> Callable[..., Result]:
    """Runs any command on a store of the test's own, which has the users ann and bob."""
    invoke_on_a_store(groups())

    def run(*args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(
            build(asked_for(args)), [*args, "--state-dir", str(tmp_path)], input=input
        )

    for username in ("ann", "bob"):
        run("users", "create", username)
    return run


def test_a_group_is_made_filled_listed_and_deleted(run: Callable[..., Result]) -> None:
    assert run("groups", "list").stderr == "There are no groups.\n"
    assert run("groups", "create", "staff").stdout == "Created the group staff.\n"
    added = run("groups", "add", "staff", "ann", "bob")
    assert added.stdout.startswith("Added 2 users to staff. A running daemon notices within")
    lines = [line.split() for line in run("groups", "list").stdout.splitlines()]
    assert lines[0] == ["NAME", "MEMBERS", "USERS", "CREATED"]
    assert lines[1][:4] == ["staff", "2", "ann,", "bob"]
    assert run("groups", "remove", "staff", "bob").stdout.startswith("Removed 1 user from staff.")
    [group] = json.loads(run("groups", "list", "-o", "json").stdout)
    assert (group["name"], group["members"]) == ("staff", ["ann"])
    assert run("groups", "delete", "staff", "--yes").stdout.startswith("Deleted the group staff.")
    assert json.loads(run("groups", "list", "-o", "json").stdout) == []


def test_deletion_asks_on_a_terminal_and_is_refused_without(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("groups", "create", "staff")
    refused = run("groups", "delete", "staff", input="y\n")
    assert (refused.exit_code, "Add --yes" in refused.stderr) == (1, True)
    monkeypatch.setattr(confirmation, "is_terminal", lambda: True)
    asked = run("groups", "delete", "staff", input="n\n")
    assert "Delete the group staff with 0 members? [y/N]" in asked.stderr
    assert "staff" in run("groups", "list").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("create", "staff"), "already exists"),
        (("delete", "stuff", "--yes"), "Did you mean staff?"),
        (("add", "staff", "anne"), "Did you mean ann?"),
        (("remove", "staff", "ann"), "ann is not in the group 'staff'"),
    ],
)
def test_mistakes_are_sentences(
    run: Callable[..., Result], args: tuple[str, ...], said: str
) -> None:
    run("groups", "create", "staff")
    failed = run("groups", *args)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert said in failed.stderr
