"""`aibridged serve` without Typer; `tests/cli/test_serve.py` has what both ways share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from aibridged.config.resolution import Resolution
from aibridged.daemon import command_line

Run = Callable[[Resolution, Callable[[], Resolution]], int]


def replace_daemon(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    daemon = ModuleType("aibridged.daemon.main")
    daemon.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aibridged.daemon.main", daemon)


def test_it_serves_with_plain_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []

    def run(resolution: Resolution, resolve: Callable[[], Resolution]) -> int:
        for each in (resolution, resolve()):
            assert each.settings is not None
            limits.append(each.settings.rate_limit)
        return 7

    replace_daemon(monkeypatch, run)
    assert command_line.main(["--aibridge-rate-limit", "5"]) == 7
    assert limits == [5, 5]


@pytest.mark.parametrize("args", [["--help"], ["--unknown"], ["x"]])
def test_it_leaves_to_typer_what_is_not_plain(
    args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_daemon(monkeypatch, lambda resolution, resolve: pytest.fail("it serves"))
    assert command_line.main(args) is None


def test_an_interrupted_start_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(resolution: Resolution, resolve: Callable[[], Resolution]) -> int:
        raise KeyboardInterrupt

    replace_daemon(monkeypatch, run)
    assert command_line.main([]) == 1
    assert capsys.readouterr() == ("", "Cancelled.\n")


@pytest.mark.parametrize(
    ("args", "serves_alone"),
    [
        (["--aibridge-workers=1"], True),
        (["--aibridge-workers=2"], False),
        (["--aibridge-enabled=false"], False),
        (["--aibridge-rate-limit=lots"], False),
    ],
)
def test_only_who_serves_alone_imports_the_server(
    args: list[str], serves_alone: bool, tmp_path: Path
) -> None:
    code = (
        "import sys, threading, types\n"
        "from aibridged.daemon import command_line\n"
        "def stub(name):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "    sys.modules[name].run = lambda *given: 0\n"
        "stub('aibridged.daemon.main')\n"
        "import aibridged.daemon.workers\n"
        "stub('aibridged.daemon.workers.supervisor')\n"
        "aibridged.daemon.workers.supervisor = sys.modules['aibridged.daemon.workers.supervisor']\n"
        f"command_line.main({[*args, '--state-dir', str(tmp_path)]})\n"
        "for each in threading.enumerate():\n"
        "    if each is not threading.current_thread(): each.join()\n"
        "print('aiohttp' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{serves_alone}\n"
