"""What the tests of the command line share."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

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
