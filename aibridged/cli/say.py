"""Sentences for people: on a terminal they are wrapped between words."""

import sys

import typer

from aibridged.cli.table import terminal_width
from aibridged.config.wrapping import wrapped


def say(text: str, *, err: bool = False) -> None:
    """Print a sentence or some, wrapped to the terminal's width; in a pipe, on one line.

    What follows a line break is printed as it is: it is a command, or a list.
    """
    room = terminal_width(sys.stderr if err else sys.stdout)
    if room is not None:
        sentences, newline, rest = text.partition("\n")
        text = f"{wrapped(sentences, room)}{newline}{rest}"
    typer.echo(text, err=err)
