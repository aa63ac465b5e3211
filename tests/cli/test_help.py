"""Help of every command, the nested ones too."""

import pytest
from typer.main import get_command

from aibridged.cli import build
from aibridged.cli.command import Command, Group
from aibridged.cli.help import print_help
from aibridged.cli.tree import Command as Tree
from aibridged.cli.tree import read

ALL = {command.name: command for command in read((), get_command(build())).walk()}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The help of a command in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(command: Tree) -> str:
        print_help(command)
        return capsys.readouterr().out

    return show


@pytest.mark.parametrize("name", ALL)
def test_it_fits_and_names_everything(name: str, shown) -> None:
    command = ALL[name]
    text = shown(command)
    assert max(map(len, text.splitlines())) <= 80
    unwrapped = " ".join(text.replace("│", " ").split())
    for flag in command.flags:
        assert all(spelling in unwrapped for spelling in flag.names)
        assert flag.help in unwrapped
        if flag.setting:
            default = f"default {flag.default}" if flag.default else "not set"
            assert f"{flag.setting.env}, {default}" in unwrapped
        elif flag.default:
            assert f"default {flag.default}" in unwrapped
    for argument in command.arguments:
        assert argument.value in unwrapped
        assert argument.help in unwrapped
    for below in command.commands:
        assert f"{below.summary}." in unwrapped


def test_only_the_daemons_own_help_speaks_of_restarts(shown) -> None:
    assert "CODER_STATE_DIR, default ~/.local/state/aibridged; requires" in shown(ALL["serve"])
    assert "restart" not in shown(ALL["users create"])


def test_the_list_of_commands_has_a_line_for_each(shown) -> None:
    text = shown(ALL[""])
    for command in ALL[""].commands:
        assert f"{command.summary}. " in text, command.name


def test_every_command_has_it_whoever_added_it() -> None:
    def check(command) -> None:
        assert isinstance(command, Command | Group), command.name
        for below in getattr(command, "commands", {}).values():
            check(below)

    check(get_command(build()))
