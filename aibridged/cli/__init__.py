"""The command line: one file per command; this one registers them.

Only the command that is asked for is imported, and a command imports what it needs when it runs: so
that `aibridged version`, and what a script asks a hundred times, is fast.
"""

import inspect
import io
import sys
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from aibridged.cli.command import apply_help_layout
from aibridged.login import COMMANDS as LOGIN_COMMANDS

# In the order of `aibridged --help`: running the gateway, setting it up, querying it. Each is the
# function of this name in the module of this name, with underscores.
WITH_SETTINGS = ("serve", "check-config")
COMMANDS = (
    "status",
    "healthcheck",
    "sample-config",
    "usage",
    "reconcile",
    "tail",
    "demo",
    "fake-provider",
    "version",
)
GROUPS = (
    "users",
    "groups",
    "tokens",
    "policies",
    "prices",
    "budgets",
    "audit",
    "interceptions",
    "sessions",
    "export",
    "db",
    "proxy",
)
COMPLETE = "complete"
"""Hidden: the shells' completions call it."""

_ALL = frozenset((*WITH_SETTINGS, *COMMANDS, *GROUPS, *LOGIN_COMMANDS, COMPLETE))


def build(only: Collection[str] = _ALL) -> typer.Typer:
    """Build the Typer application, with these commands."""
    app = typer.Typer(
        name="aibridged",
        no_args_is_help=True,
        add_completion=False,
        # Typer's tracebacks could show local variables, and so a key.
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name in filter(only.__contains__, WITH_SETTINGS):
        from aibridged.cli.settings_flags import SettingsCommand, takes_settings

        configured = _imported(name)
        app.command(cls=SettingsCommand, help=_paragraphs(configured))(takes_settings(configured))
    for name in filter(only.__contains__, COMMANDS):
        command = _imported(name)
        app.command(help=_paragraphs(command))(command)
    for name in filter(only.__contains__, LOGIN_COMMANDS):
        from aibridged.cli.login_commands import login_command

        command = login_command(name)
        app.command(help=_paragraphs(command))(command)
    for name in filter(only.__contains__, GROUPS):
        app.add_typer(_imported(name)())
    if COMPLETE in only:
        from aibridged.cli.completion import complete

        app.command(hidden=True, help=_paragraphs(complete))(complete)
    apply_help_layout(app)
    return app


def asked_for(args: Sequence[str]) -> Collection[str]:
    """The commands that these arguments may be about: all, where help or a hint may name them."""
    return args[:1] if args and args[0] in _ALL else _ALL


def _imported(name: str) -> Callable[..., Any]:
    name = name.replace("-", "_")
    found: Callable[..., Any] = getattr(import_module(f"aibridged.cli.{name}"), name)
    return found


def _paragraphs(command: Callable[..., None]) -> str:
    """A docstring as help: its line breaks are removed, the terminal wraps the text."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main() -> None:
    """Run any command but those of sign-in."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character gets a question mark, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    arguments = sys.argv[1:]
    if arguments in (["version"], ["--version"]):
        # Typer needs pydantic to make a command, which takes most of the time.
        _imported("version")()
    else:
        build(asked_for(arguments))(prog_name="aibridged")


def _print_version(asked: bool) -> None:
    if asked:
        _imported("version")()
        raise typer.Exit()


def _root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A standalone AI gateway: authenticates, limits, forwards and records."""
