"""The command line that the manual and the completions are made from."""

from typer.main import get_command

from aibridged.cli import build
from aibridged.cli.tree import Command, read


def command_line() -> Command:
    """The whole tree, without what is hidden."""
    return read((), get_command(build()))
