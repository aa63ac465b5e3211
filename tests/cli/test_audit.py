"""`aibridged audit list`, as a person would use it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aibridged.cli import asked_for, build
from aibridged.cli.groups import groups


@pytest.fixture
def run(invoke_on_a_store: Callable[..., object], tmp_path: Path) -> Callable[..., Result]:
    """Runs any command on a store of the test's own, in which something was changed."""
    invoke_on_a_store(groups())

    def run(*args: str) -> Result:
        return CliRunner().invoke(build(asked_for(args)), [*args, "--state-dir", str(tmp_path)])

    assert run("audit", "list").stderr == "No row of the audit log matches.\n"
    run("users", "create", "ann", "--name", "Ann")
    run("users", "edit", "ann", "--name", "Anna", "--admin")
    run("groups", "create", "staff")
    return run


def test_who_did_what_is_listed_the_newest_first(run: Callable[..., Result]) -> None:
    lines = run("audit", "list").stdout.splitlines()
    assert lines[0].split() == ["TIME", "ACTOR", "ACTION", "TARGET", "CHANGE"]
    assert "group.create  staff" in lines[1]
    assert "user.edit     ann     name: Ann → Anna, is_admin: false → true" in lines[2]
    assert "user.create   ann     username: ann, name: Ann, is_admin: false" in lines[3]
    assert len(lines) == 4


def test_what_a_change_leaves_as_it_is_is_there_once(run: Callable[..., Result]) -> None:
    for amount in ("50", "40"):
        run("budgets", "set", "--user", "ann", "--monthly", amount)
    line = run("audit", "list").stdout.splitlines()[1]
    assert line.endswith("scope: user, user: ann, period: monthly, amount: $50.00 → $40.00")


def test_the_same_as_json_with_filters_and_pages(run: Callable[..., Result]) -> None:
    def found(*args: str) -> list[str]:
        rows = json.loads(run("audit", "list", "-o", "json", *args).stdout)
        return [row["action"] for row in rows]

    assert found("--action", "user") == ["user.edit", "user.create"]
    assert found("--target", "ann", "--started-after", "1h", "-n", "1") == ["user.edit"]
    assert found("--target", "staff", "--actor", "(uid ") == ["group.create"]
    assert found("--started-before", "1h") == found("--actor", "nobody-at-all") == []
    first = run("audit", "list", "-n", "1", "-o", "json")
    assert "There are more: the list stops at --limit 1." in first.stderr
    after = json.loads(first.stdout)[0]["id"]
    assert found("--after-id", str(after)) == ["user.edit", "user.create"]


def test_a_time_that_is_none_is_a_usage_error(run: Callable[..., Result]) -> None:
    failed = run("audit", "list", "--started-after", "yesterday")
    assert failed.exit_code == 2
    assert "is not a time" in failed.output
