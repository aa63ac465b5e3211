"""Commands are read as Typer knows them."""

from enum import StrEnum
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from aibridged.cli import build
from aibridged.cli.tree import Argument, Command, Flag, read
from aibridged.config.options import OPTIONS


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


def _paint(
    what: Annotated[str, typer.Argument(metavar="THING", help="What to paint.")],
    with_: Annotated[Color, typer.Option("--with", "-w", help="The color.")] = Color.RED,
    coats: Annotated[int, typer.Option(metavar="N", help="How often.")] = 2,
    who: Annotated[str | None, typer.Option("--who", metavar="NAME", help="By whom.")] = ...,
    wet: Annotated[bool, typer.Option("--wet", help="Don't wait.")] = False,
    secret: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Paint it. All of it.

    And wait until
    it is dry.
    """


@pytest.fixture
def app() -> Command:
    made = typer.Typer(name="app")
    house = typer.Typer(name="house", help="The house.")
    house.command("paint")(_paint)
    house.command("burn", hidden=True)(lambda: None)
    shed = typer.Typer(name="shed", help="The shed, which can be asked for itself.")
    shed.callback(invoke_without_command=True)(lambda: None)
    shed.command("paint")(_paint)
    made.add_typer(house)
    made.add_typer(shed)
    made.callback()(lambda: None)
    return read((), get_command(made))


HELP = Flag(("--help", "-h"), "", "Show this message and exit.")


def test_a_command_with_all_it_takes(app: Command) -> None:
    house, _ = app.commands
    [paint] = house.commands
    assert house.paragraphs == ("The house.",)
    assert paint.path == ("house", "paint")
    assert paint.paragraphs == ("Paint it. All of it.", "And wait until it is dry.")
    assert paint.summary == "Paint it"
    assert paint.arguments == (Argument("THING", "What to paint."),)
    assert paint.flags == (
        Flag(("--with", "-w"), "WITH_", "The color.", "red", ("red", "blue")),
        Flag(("--coats",), "N", "How often.", "2"),
        Flag(("--who",), "NAME", "By whom.", required=True),
        Flag(("--wet",), "", "Don't wait."),
        HELP,
    )


def test_walking_visits_each_once(app: Command) -> None:
    names = ["", "house", "house paint", "shed", "shed paint"]
    assert [command.name for command in app.walk()] == names


def test_a_group_may_do_something_by_itself(app: Command) -> None:
    assert [group.runs for group in app.commands] == [False, True]


def test_flags_of_settings_are_described_by_the_table() -> None:
    commands = {command.name: command for command in read((), get_command(build())).walk()}
    serve = commands["serve"]
    assert serve.takes_all_settings
    by_setting = {flag.setting.name: flag for flag in serve.flags if flag.setting}
    assert by_setting.keys() == {option.name for option in OPTIONS}
    verbose = by_setting["verbose"]
    assert (verbose.value, verbose.value_is_optional, verbose.choices) == (
        "BOOL",
        True,
        ("true", "false"),
    )
    assert by_setting["auth"].choices == ("token", "coder", "none")
    create = commands["users create"]
    assert not create.takes_all_settings
    assert {flag.setting.name for flag in create.flags if flag.setting} == {
        "state_dir",
        "postgres_url",
    }
    health = commands["healthcheck"]
    [address] = [flag for flag in health.flags if flag.long == "--http-address"]
    assert address.help == "Address of the daemon (default: from the settings)."  # in its own words
