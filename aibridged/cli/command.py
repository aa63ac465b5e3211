"""Typer command and group classes with our help layout."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command with our help layout."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _print_help(self, ctx)


class Group(TyperGroup):
    """A group of commands with our help layout."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _print_help(self, ctx)


def apply_help_layout(app: typer.Typer) -> None:
    """Give every command of the application our help layout."""
    app.info.cls = Group
    for command in app.registered_commands:
        if command.cls is None or not issubclass(command.cls, Command):
            command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            apply_help_layout(group.typer_instance)


def _print_help(command: Any, ctx: Any) -> None:
    # Rich takes longer to import than everything else: only help waits for it.
    from aibridged.cli.help import print_help
    from aibridged.cli.tree import read

    print_help(read(tuple(ctx.command_path.split()[1:]), command))
