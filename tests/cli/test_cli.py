"""The command line as a whole: what `--help` says, and how much it loads."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import aibridged
from aibridged.cli import asked_for, build
from aibridged.config.options import OPTIONS

Run = Callable[..., subprocess.CompletedProcess[str]]

GOLDEN = Path(__file__).parent / "golden"
WRITE_GOLDEN = "AIBRIDGED_WRITE_GOLDEN"
COMMANDS = sorted(
    command.name or command.callback.__name__.replace("_", "-")
    for command in build().registered_commands
    if command.callback
)


def test_every_command_has_a_golden_file_and_no_other_is_left() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {"aibridged", *COMMANDS}


@pytest.mark.parametrize("command", ["aibridged", *COMMANDS])
def test_help_is_as_it_was_reviewed(command: str, run: Run) -> None:
    """To accept a change: AIBRIDGED_WRITE_GOLDEN=1 pytest tests/cli/test_cli.py, and read it."""
    shown = run(*([] if command == "aibridged" else [command]), "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [line.rstrip() for line in shown.stdout.splitlines()]
    text = "\n".join(lines).strip("\n") + "\n"
    path = GOLDEN / f"{command}.txt"
    if os.environ.get(WRITE_GOLDEN):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_help_names_every_setting_and_hides_the_aliases(command: str) -> None:
    text = (GOLDEN / f"{command}.txt").read_text(encoding="utf-8")
    for option in OPTIONS:
        assert f" {option.flag}" in text
        assert f" {option.env}," in text
    assert "--ai-gateway" not in text


def test_version(run: Run) -> None:
    for args in (["version"], ["--version"]):
        shown = run(*args)
        assert shown.returncode == 0
        assert shown.stdout.startswith(f"aibridged {aibridged.__version__} (")


def test_without_a_command_help_is_shown(run: Run) -> None:
    shown = run()
    assert "check-config" in shown.stdout + shown.stderr
    assert shown.returncode == 2


def loaded(*args: str) -> set[str]:
    """The modules that are loaded once the command has run."""
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        f"sys.argv = {['aibridged', *args]}; from aibridged.cli import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


HEAVY = {"aiohttp", "alembic", "asyncio", "loguru", "msgspec", "sqlalchemy", "yaml"}


def test_help_loads_nothing_that_it_does_not_need() -> None:
    assert loaded("--help") & HEAVY == set()


@pytest.mark.parametrize("args", [["version"], ["--version"]])
def test_the_version_loads_almost_nothing(args: list[str]) -> None:
    modules = loaded(*args)
    assert modules & (HEAVY | {"pydantic", "rich", "aibridged.config.options"}) == set()
    commands = {f"aibridged.cli.{name}" for name in ("serve", "status", "users", "usage", "demo")}
    assert modules & commands == set()


def test_a_command_loads_no_other_command() -> None:
    modules = loaded("sample-config")
    assert modules & HEAVY == set()
    assert (
        modules & {f"aibridged.cli.{name}" for name in ("serve", "users", "demo", "tail")} == set()
    )


def test_only_what_is_asked_for_is_built() -> None:
    assert asked_for(["users", "list"]) == ["users"]
    for args in ([], ["--help"], ["usres"]):
        assert {"serve", "users", "version"} <= set(asked_for(args))
