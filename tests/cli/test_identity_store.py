"""What the commands on users and tokens share: where the store is, and what happens if it isn't."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aibridged.cli.budgets import budgets
from aibridged.cli.groups import groups
from aibridged.cli.tokens import tokens
from aibridged.cli.users import users
from aibridged.config.options import OPTIONS

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    for name in os.environ:
        if name.startswith("CODER_"):
            monkeypatch.delenv(name)
    group = users()

    def invoke(*args: object) -> Result:
        return CliRunner().invoke(group, [str(arg) for arg in args])

    return invoke


def test_the_store_is_where_the_flag_says(invoke: Invoke, tmp_path: Path) -> None:
    made = invoke("create", "alice", "--state-dir", tmp_path)
    assert made.stdout == f"Created the user alice in {tmp_path}/aibridged.db.\n"
    assert (tmp_path / "aibridged.db").stat().st_mode & 0o077 == 0


def test_the_store_is_where_the_file_says(invoke: Invoke, tmp_path: Path) -> None:
    invoke("create", "alice", "--state-dir", tmp_path)
    file = tmp_path / "settings.yaml"
    option = next(option for option in OPTIONS if option.name == "state_dir")
    *groups, key = option.yaml.split(".")
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(groups)]
    file.write_text("\n".join([*lines, f"{'  ' * len(groups)}{key}: {tmp_path}"]))
    assert "alice" in invoke("list", "-c", file).stdout


def test_mistakes_in_the_settings_are_said_as_serve_says_them(
    invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke("list", "--state-dir", tmp_path, "--config", tmp_path / "missing.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "missing.yaml" in result.stderr
    assert "1 mistake" in result.stderr


def test_a_folder_that_is_a_file_is_a_sentence(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke("list", "--state-dir", tmp_path / "file")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert "--state-dir" in result.stderr


def test_an_unreachable_postgresql_is_a_sentence_without_its_password(
    invoke: Invoke, tmp_path: Path
) -> None:
    url = "postgres://aibridged:canary-hunter2@127.0.0.1:1/aibridged"
    result = invoke("list", "--state-dir", tmp_path, "--postgres-url", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused" in result.stderr
    assert "canary-hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


_TELLING = [
    (users, "suspend", "ann"),
    (users, "sign-out", "ann"),
    (users, "erase", "ann", "--yes"),
    (tokens, "create", "--user", "ann"),
    (tokens, "renew", "id"),
    (tokens, "revoke", "id"),
    (groups, "create", "team"),
    (budgets, "set", "--user", "ann", "--daily", "5"),
]


@pytest.mark.parametrize(("group", "command", "arguments"), [(g, c, a) for g, c, *a in _TELLING])
def test_a_change_says_that_the_address_of_redis_cannot_be_read(
    invoke_on_a_store: Callable[[typer.Typer], Invoke],
    monkeypatch: pytest.MonkeyPatch,
    group: Callable[[], typer.Typer],
    command: str,
    arguments: list[str],
) -> None:
    monkeypatch.setenv("CODER_AIBRIDGE_REDIS_URL_FILE", "/missing")
    said = " ".join(invoke_on_a_store(group())(command, *arguments).stderr.split())
    assert "Redis isn't told (CODER_AIBRIDGE_REDIS_URL_FILE (/missing): the file can't" in said
    monkeypatch.delenv("CODER_AIBRIDGE_REDIS_URL_FILE")
    monkeypatch.setenv("CODER_AIBRIDGE_REDIS_URL", "http://:canary@h")
    said = " ".join(invoke_on_a_store(group())(command, *arguments).stderr.split())
    assert "Redis isn't told (CODER_AIBRIDGE_REDIS_URL: is not the URL" in said
    assert "canary" not in said
    assert "Redis" not in invoke_on_a_store(group())("list").stderr
