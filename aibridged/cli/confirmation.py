"""Confirmation of what can't be undone: asked on a terminal, or given by `--yes`."""

import sys
from typing import Annotated

import typer

from aibridged.cli.say import say

YesFlag = Annotated[bool, typer.Option("--yes", help="Don't ask for confirmation.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask the question unless it is answered; the command ends where the answer is no.

    Without a terminal nothing is asked, and the command ends with the mend.
    """
    if yes:
        return
    if not is_terminal():
        say("Nothing was changed: without a terminal there is nobody to ask. Add --yes.", err=True)
        raise typer.Exit(1)
    typer.confirm(question, abort=True, err=True)


def is_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty()
