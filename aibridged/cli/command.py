"""Typer command and group classes with our help layout, and our words for wrong usage."""

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from aibridged.cli.plain_values import spare_validation
from aibridged.cli.usage_errors import UsageError, as_mistake, place, unknown_command

HELP_FLAGS = ("--help", "-h")


class _Ours:
    """What commands and groups of them have in common."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _print_help(self, ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        spare_validation(self.get_params(ctx))  # type: ignore[attr-defined]  # Typer's
        try:
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]  # Typer's
        except UsageError as error:
            place(error, ctx, given)
            raise
        return parsed


class Command(_Ours, TyperCommand):
    """A command with our help layout, and our words for wrong usage."""


class Group(_Ours, TyperGroup):
    """A group of commands with the same."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = [name for name, command in self.commands.items() if not command.hidden]
            error = unknown_command(ctx.command_path, args[0], known)
            place(error, ctx, args)
            raise error
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Any = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = (args, prog_name, complete_var, False, windows_expand_args)
        if not standalone_mode:
            return super().main(*given, **extra)
        try:
            status = super().main(*given, **extra)
        except UsageError as error:
            _print_usage_error(error)
            sys.exit(2)
        except typer.Abort:
            typer.echo("Cancelled.", err=True)
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


def apply_help_layout(app: typer.Typer) -> None:
    """Give every command of the application our help layout."""
    app.info.cls = Group
    # Commands inherit it from the context of the group that they are called through.
    app.info.context_settings = {"help_option_names": list(HELP_FLAGS)}
    for command in app.registered_commands:
        if command.cls is None or not issubclass(command.cls, Command):
            command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            apply_help_layout(group.typer_instance)


def _print_usage_error(error: Exception) -> None:
    # A group without a command has printed its help.
    if type(error).__name__ != "NoArgsIsHelpError":
        from aibridged.config.report import mistake_text

        typer.echo(mistake_text(as_mistake(error)), err=True)


def _print_help(command: Any, ctx: Any) -> None:
    # Rich takes longer to import than everything else: only help waits for it.
    from aibridged.cli.help import print_help
    from aibridged.cli.tree import read

    print_help(read(tuple(ctx.command_path.split()[1:]), command))
