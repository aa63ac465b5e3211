"""The commands as processes: exit statuses, words, speed, and what they load."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aibridged import login
from aibridged.login import command_line
from aibridged.login.clock import SystemClock
from aibridged.login.store import Logins
from tests.login.conftest import PENDING, secret

# Of the time that Python itself takes to start, on whichever machine.
MOST_TIMES = 8
LOADED = (
    "",
    ".access_token",
    ".address",
    ".bearer",
    ".clock",
    ".command_line",
    ".failure",
    ".folders",
    ".lock",
    ".store",
)


@pytest.fixture
def clock():
    return SystemClock()


def start(tmp_path, *arguments, flags=(), **options):
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "HOME": str(tmp_path),
    }
    return subprocess.Popen(
        [sys.executable, *flags, "-m", "aibridged", *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ran(tmp_path, *arguments, **options):
    process = start(tmp_path, *arguments, **options)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_the_names_are_those_of_the_commands():
    assert tuple(command_line.BY_NAME) == login.COMMANDS


def test_a_token_is_printed_quickly_and_without_any_library(tmp_path, stored):
    stored()
    status, out, err = ran(tmp_path, "access-token", flags=("-X", "importtime"))
    assert (status, out) == (0, f"{secret(0)}\n")
    loaded = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    # What a `.pth` file of the environment loads, this command doesn't.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    places = [Path(place) for place in sys.path if place.endswith("site-packages")]
    installed = {path.name.partition(".")[0] for place in places for path in place.iterdir()}
    assert {"typer", "aiohttp"} <= installed
    libraries = {name.partition(".")[0] for name in loaded - set(bare.stdout.split())}
    assert libraries & (installed - {"aibridged"}) == set()
    assert {name for name in loaded if name.startswith("aibridged.")} <= {
        "aibridged.__main__",
        *(f"aibridged.login{part}" for part in LOADED),
    }
    assert {"urllib.request", "ssl", "http.client"} & loaded == set()


def cpu_seconds(*command, **environ):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_it_costs_little_more_than_python_itself(tmp_path, stored):
    stored()
    environ = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # A busy machine makes some runs slower, and none faster.
    bare = min(cpu_seconds(sys.executable, "-c", "", **environ) for _ in range(4))
    whole = 9.0
    for _ in range(12):
        program = (sys.executable, "-m", "aibridged", "access-token")
        whole = min(whole, cpu_seconds(*program, **environ))
        if whole < MOST_TIMES * bare:
            return
    pytest.fail(f"{whole:.3f} s, and Python alone {bare:.3f} s")


def test_a_failure_is_on_standard_error(tmp_path):
    assert ran(tmp_path, "access-token") == (
        1,
        "",
        "aibridged access-token: you are not signed in\n  → Run `aibridged login URL`.\n",
    )


def test_wrong_usage_is_said_like_everywhere(tmp_path):
    status, out, err = ran(tmp_path, "access-token", "--nonsense")
    assert (status, out) == (2, "")
    assert "  → `aibridged" in err


def test_help_is_that_of_the_other_commands(tmp_path):
    status, out, err = ran(tmp_path, "whoami", "--help")
    assert (status, err) == (0, "")
    assert "Usage: aibridged whoami" in out
    assert "╭─" in out


def test_a_folder_that_cannot_be_written_is_said(tmp_path, stored):
    stored()
    (tmp_path / ".config" / "aibridged" / "logins").rename(tmp_path / "elsewhere")
    (tmp_path / ".config" / "aibridged" / "logins").write_text("a file")
    status, out, err = ran(tmp_path, "access-token")
    assert (status, out) == (1, "")
    assert "Traceback" not in err


def test_ctrl_c_ends_a_sign_in_quietly(tmp_path, oauth_server):
    oauth_server.next("/oauth/token", *[PENDING] * 100)
    process = start(tmp_path, "login", oauth_server.url)
    assert any("BCDF-GHJK\n" in line for line in iter(process.stdout.readline, ""))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "\nCancelled.\n")


def test_processes_at_once_refresh_once(tmp_path, stored, oauth_server, clock):
    login = stored(expires_at=clock.now() - 1)
    processes = [start(tmp_path, "access-token") for _ in range(6)]
    said = [process.communicate(timeout=30) for process in processes]
    assert said == [(f"{secret(1)}\n", "")] * 6
    assert len(oauth_server.forms("/oauth/token")) == 1
    assert Logins(tmp_path / ".config" / "aibridged", clock).load(login.url).email


def test_hints_name_the_command_as_it_is_called():
    text = "Run `aibridged login URL`, then `aibridged whoami`; there, `aibridged users sign-out`."
    assert command_line.named(text, "aibridged-login") == (
        "Run `aibridged-login login URL`, then `aibridged-login whoami`; there, "
        "`aibridged users sign-out`."
    )


@pytest.mark.parametrize(
    ("script", "called"),
    [
        ("/nowhere/bin/aibridged", ["/nowhere/bin/aibridged"]),
        ("/x/aibridged/__main__.py", [sys.executable, "-m", "aibridged"]),
    ],
)
def test_an_agent_calls_it_by_an_absolute_path(monkeypatch, script, called):
    monkeypatch.setattr(sys, "argv", [script])
    assert command_line.called("aibridged") == called
