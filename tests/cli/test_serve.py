"""`aibridged serve`: what happens before anything listens."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.config.resolution import Resolution
from tests.migrated import migrate

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_disabled_says_so_and_exits_0(run: Run) -> None:
    shown = run("serve", environ={"CODER_AIBRIDGE_ENABLED": "false"})
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == "Not serving: --aibridge-enabled is false.\n"


def test_mistakes_count_even_where_nothing_would_be_served(run: Run) -> None:
    assert run("serve", "--no-aibridge-enabled", "--aibridge-auth=coder").returncode == 1


def test_a_log_that_cannot_be_opened_is_one_clear_line(run: Run) -> None:
    shown = run("serve", "--log-json", "/proc/log")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == (
        "/proc/log can't be opened for logging: No such file or directory. "
        "Choose a file that this user may write to, or /dev/stderr.\n"
    )


def test_the_daemon_gets_the_settings_and_gives_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[Resolution, Callable[[], Resolution]]] = []

    def run(resolution: Resolution, resolve: Callable[[], Resolution]) -> int:
        calls.append((resolution, resolve))
        return 7

    daemon = ModuleType("aibridged.daemon.main")
    daemon.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aibridged.daemon.main", daemon)
    args = ["serve", "--aibridge-rate-limit=5", "--aibridge-openai-key=sk-1"]
    result = CliRunner().invoke(build(asked_for(args)), args)
    assert result.exit_code == 7
    [(resolution, resolve)] = calls
    settings = resolution.settings
    assert settings is not None
    assert resolve().settings == settings  # a reload reads what the start read
    assert settings.rate_limit == 5
    assert [provider.name for provider in settings.providers][:2] == ["anthropic", "openai"]
    assert len(resolution.warnings) == 1


SLOW_TO_LOAD = {
    "alembic",
    "cryptography",
    "jinja2",
    "mcp",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "redis",
    "rich",
    "typer",
} | {f"sqlalchemy.dialects.{other}" for other in ("mysql", "oracle", "postgresql")}


def test_it_listens_without_what_it_may_never_need(tmp_path: Path) -> None:
    migrate(tmp_path)
    args = ["aibridged", "serve", "--http-address=127.0.0.1:0", "--state-dir", str(tmp_path)]
    args += ["--aibridge-structured-logging", "--aibridge-budget-alerts=80,100"]
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "
        f"sys.argv = {args}; from aibridged.__main__ import main; main()"
    )
    clean = {name: text for name, text in os.environ.items() if not name.startswith("CODER_")}
    ran = subprocess.Popen(
        [sys.executable, "-c", code],
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ran.stderr is not None
    assert any("listens on" in line for line in ran.stderr)
    ran.terminate()
    loaded, _ = ran.communicate(timeout=30)
    assert "sqlalchemy" in loaded.split()
    # The table of prices, which uses pydantic, is read a second later.
    priced = {"pydantic"} if "genai_prices" in loaded.split() else set()
    assert set(loaded.split()) & SLOW_TO_LOAD == priced
