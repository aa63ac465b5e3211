"""The command line: one file per command; this one registers them.

Importing this package must stay cheap: a command imports what it needs when it runs, so that
`aibridged --help` is fast.
"""

import inspect
import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from aibridged.cli.check_config import check_config
from aibridged.cli.command import apply_help_layout
from aibridged.cli.completion import complete
from aibridged.cli.db import db
from aibridged.cli.demo import demo
from aibridged.cli.fake_provider import fake_provider
from aibridged.cli.healthcheck import healthcheck
from aibridged.cli.interceptions import interceptions
from aibridged.cli.proxy import proxy
from aibridged.cli.sample_config import sample_config
from aibridged.cli.serve import serve
from aibridged.cli.sessions import sessions
from aibridged.cli.settings_flags import SettingsCommand, takes_settings
from aibridged.cli.status import status
from aibridged.cli.tail import tail
from aibridged.cli.tokens import tokens
from aibridged.cli.usage import usage
from aibridged.cli.users import users
from aibridged.cli.version import version

# In the order of `aibridged --help`: running the gateway, setting it up, querying it.
WITH_SETTINGS = (serve, check_config)
COMMANDS = (status, healthcheck, sample_config, usage, tail, demo, fake_provider, version)
GROUPS = (users, tokens, interceptions, sessions, db, proxy)


def build() -> typer.Typer:
    """Build the Typer application."""
    app = typer.Typer(
        name="aibridged",
        no_args_is_help=True,
        add_completion=False,
        # Typer's tracebacks could show local variables, and so a key.
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for configured in WITH_SETTINGS:
        app.command(cls=SettingsCommand, help=_paragraphs(configured))(takes_settings(configured))
    for command in COMMANDS:
        app.command(help=_paragraphs(command))(command)
    for group in GROUPS:
        app.add_typer(group())
    app.command(hidden=True, help=_paragraphs(complete))(complete)
    apply_help_layout(app)
    return app


def _paragraphs(command: Callable[..., None]) -> str:
    """A docstring as help: its line breaks are removed, the terminal wraps the text."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main() -> None:
    """Entry point of the console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character gets a question mark, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    build()(prog_name="aibridged")


def _print_version(asked: bool) -> None:
    if asked:
        version()
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
