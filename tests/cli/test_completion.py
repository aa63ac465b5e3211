"""`aibridged complete`: the names for the shells, and silence whatever is wrong."""

import os
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aibridged.cli import build


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs the command with the words of a command line; `tmp_path` is the state directory."""
    monkeypatch.setattr("aibridged.cli.completion.TIME_LIMIT_S", 20)  # the machine may be busy
    for name in os.environ:
        if name.startswith("CODER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CODER_STATE_DIR", str(tmp_path))

    def run(kind: str, *words: str) -> list[str]:
        said = CliRunner().invoke(build(), ["complete", kind, "--", *words])
        assert (said.exit_code, said.stderr) == (0, "")
        return said.stdout.splitlines()

    return run


def test_names_come_a_line_each_with_a_word_on_them(ask, sqlite_database, populate) -> None:
    populate(sqlite_database.engine, models=("gpt-5",))
    assert ask("users") == ["albert\tAlbert", "alice\tAlice", "bob\tBob"]
    assert ask("models") == ["gpt-5\tlocal"]


def test_providers_are_those_of_the_settings_and_those_on_record(
    ask, sqlite_database, populate
) -> None:
    configured = [
        "anthropic\tanthropic",
        "openai\topenai",
        "copilot\tcopilot",
        "copilot-business\tcopilot",
        "copilot-enterprise\tcopilot",
    ]
    assert ask("providers") == configured
    populate(sqlite_database.engine, models=("gpt-5",))
    assert ask("providers") == [*configured, "local\t"]


def test_mcp_servers_are_those_of_the_settings(ask, monkeypatch) -> None:
    monkeypatch.setenv("CODER_AIBRIDGE_MCP_SERVER_0_ID", "docs")
    monkeypatch.setenv("CODER_AIBRIDGE_MCP_SERVER_0_URL", "https://mcp.example.com/mcp")
    assert ask("servers") == ["docs\t"]


def test_names_that_a_shell_could_take_for_more_are_left_out(
    ask, sqlite_database, populate
) -> None:
    models = (
        "good-1.5",
        "$(reboot)",
        "`reboot`",
        "a;b",
        "a\nb",
        "\x1b[2J",
        "-x'y",
        "a|b",
        "good:2",
    )
    populate(sqlite_database.engine, models=models)
    assert ask("models") == ["good-1.5\tlocal", "good:2\tlocal"]


@pytest.mark.parametrize("given", [["--state-dir", "{}"], ["--state-dir={}"]])
def test_the_command_line_says_which_database(
    ask, sqlite_database, populate, monkeypatch, given
) -> None:
    populate(sqlite_database.engine, models=())
    monkeypatch.setenv("CODER_STATE_DIR", "/nonexistent")
    assert ask("users") == []
    words = [word.format(sqlite_database.state_dir) for word in given]
    assert len(ask("users", "tokens", "create", *words, "--user")) == 3


@pytest.mark.parametrize("flag", ["-c", "--config"])
def test_or_the_file_of_settings_does(ask, sqlite_database, populate, tmp_path, flag) -> None:
    populate(sqlite_database.engine, models=())
    file = tmp_path / "settings.yaml"
    file.write_text("aibridge:\n  providers:\n    - {type: openai, name: mine}\n")
    assert ask("providers", "usage", flag, str(file), "--provider") == ["mine\topenai"]


def test_it_says_nothing_whatever_is_wrong(ask, tmp_path, monkeypatch) -> None:
    assert ask("users") == []
    assert os.listdir(tmp_path) == []
    (tmp_path / "aibridged.db").write_bytes(b"no database" * 1000)
    assert ask("users") == []
    assert ask("users", "users", "list", "--config") == []
    monkeypatch.setenv("CODER_AIBRIDGE_STATE_DRI", "misspelt")
    assert ask("providers") == []
    monkeypatch.delenv("CODER_AIBRIDGE_STATE_DRI")
    monkeypatch.setenv("CODER_PG_CONNECTION_URL", "postgres://nobody@127.0.0.1:1/none")
    assert ask("users") == []


def test_it_gives_up_after_a_moment(ask, monkeypatch) -> None:
    never = threading.Event()
    monkeypatch.setattr("aibridged.cli.completion.TIME_LIMIT_S", 0.01)
    monkeypatch.setattr("aibridged.config.load.resolve", lambda *_: never.wait())
    assert ask("users") == []
    never.set()
