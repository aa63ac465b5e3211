"""What the tests of the command line share."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aibridged.cli import build
from tests.migrated import migrate

TERMINALS = (80, 140)


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        return True


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run `aibridged` as a process, in an 80-column terminal and without CODER_ variables."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("CODER_")}
    for name in ("TERMINAL_WIDTH", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        clean.pop(name, None)
    clean |= {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}

    def run(
        *args: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "aibridged", *args],
            env=clean | dict(environ or {}),
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture
def invoke_on_a_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[typer.Typer], Callable[..., Result]]:
    """Runs commands of a group on a store of the test's own, in an 80-column terminal.

    The store is empty; no daemon has used it.
    """
    migrate(tmp_path)
    for name in os.environ:
        if name.startswith("CODER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")

    def of(group: typer.Typer) -> Callable[..., Result]:
        def invoke(command: str, *args: str) -> Result:
            return CliRunner().invoke(group, [command, *args, "--state-dir", str(tmp_path)])

        return invoke

    return of


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Types a command into a terminal of so many columns; returns what it shows."""
    for name in os.environ:
        if name.startswith("CODER_"):
            monkeypatch.delenv(name)

    def on_terminal(columns: int, *args: str) -> str:
        shown = Terminal()
        with monkeypatch.context() as patched:
            patched.setenv("COLUMNS", str(columns))
            patched.setattr(sys, "stdout", shown)
            with suppress(SystemExit):
                build()(args)
        return shown.getvalue()

    return on_terminal
