"""`aibridged users mcp-token`, as a person would use it, and a script."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aibridged.cli import mcp_token as module
from aibridged.cli.users import users
from aibridged.config import extras

Invoke = Callable[..., Result]
CANARY = "canary-0123456789-abcdefghijkl"
SERVER = """\
aibridge:
  mcp_servers:
    - {id: docs, url: "https://mcp.example.com/mcp", user_credentials: optional}
    - {id: ours, url: "https://mcp.example.com/mcp"}
"""


@pytest.fixture
def invoke(
    invoke_on_a_store: Callable[[typer.Typer], Invoke],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Invoke:
    """Runs `users …` with a user alice and two servers."""
    plain = invoke_on_a_store(users())
    (tmp_path / "settings.yaml").write_text(SERVER)
    monkeypatch.setenv("CODER_CONFIG_PATH", str(tmp_path / "settings.yaml"))
    plain("create", "alice")

    def invoke(*args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(
            users(), ["mcp-token", *args, "--state-dir", str(tmp_path)], input=input
        )

    return invoke


def test_a_token_comes_from_stdin_and_is_never_shown(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("set", "alice", "docs", input=f"{CANARY}\n")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "Saved the token of alice for docs. It takes effect in a running daemon"
    )
    for output in ("table", "json"):
        listed = invoke("list", "--output", output)
        assert (listed.exit_code, listed.stderr) == (0, "")
        assert CANARY not in listed.stdout
    assert json.loads(listed.stdout)[0]["server_id"] == "docs"
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_token_is_asked_for_without_an_echo(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prompt(text: str, *, hide_input: bool) -> str:
        asked.append((text, hide_input))
        return CANARY

    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)
    assert invoke("set", "alice", "docs").exit_code == 0
    assert asked == [("Token of alice for docs", True)]


def test_a_removed_token_is_gone(invoke: Invoke) -> None:
    invoke("set", "alice", "docs", input=CANARY)
    assert invoke("remove", "alice", "docs").stdout.startswith("Removed the token of alice for")
    failed = invoke("remove", "alice", "docs")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("alice has no token for the MCP server 'docs'.")
    listed = invoke("list")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert listed.stderr == "No user has a token for an MCP server.\n"


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ("", "No token on stdin.\n"),
        (" \n", "No token on stdin.\n"),
        (f"{CANARY} {CANARY}", "Not a valid token: it contains a space. Copy the key again"),
    ],
)
def test_what_is_no_token(invoke: Invoke, input: str, said: str) -> None:
    failed = invoke("set", "alice", "docs", input=input)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith(said)
    assert CANARY not in failed.stderr


def test_a_server_that_would_not_get_it_is_told(invoke: Invoke) -> None:
    for server, why in (
        ("wiki", "is not among the MCP servers of these settings"),
        ("ours", "has user_credentials: none in these settings, so users' tokens are not sent"),
    ):
        done = invoke("set", "alice", server, input=CANARY)
        assert (done.exit_code, done.stderr) == (0, f"Note: {server} {why}.\n")


def test_an_unknown_user_is_answered_with_the_nearest(invoke: Invoke) -> None:
    failed = invoke("set", "alcie", "docs", input=CANARY)
    assert failed.exit_code == 1
    assert failed.stderr == "There is no user 'alcie'. Did you mean alice?\n"


def test_a_lost_key_is_told_with_what_to_do(invoke: Invoke, tmp_path: Path) -> None:
    invoke("set", "alice", "docs", input=CANARY)
    (tmp_path / "mcp-credentials.key").unlink()
    failed = invoke("set", "alice", "docs", input=CANARY)
    assert failed.exit_code == 1
    assert "Restore it from a backup." in failed.stderr


def test_without_its_library_it_says_what_to_install(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cryptography" else found(name)
    )
    monkeypatch.delenv("CODER_CONFIG_PATH")
    shown = invoke("set", "alice", "docs")
    assert shown.exit_code == 1
    assert shown.stderr == (
        "Tokens can't be encrypted: a required library is not installed (cryptography). "
        f"Install it:\n{extras.command('mcp')}\n"
    )
