"""`aibridged users mcp-token`: users' own credentials for MCP servers."""

import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.database import takes_database
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    Username,
    errors_are_told,
    opened,
    show,
)
from aibridged.cli.say import say
from aibridged.config import extras

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.config.secret import Secret
    from aibridged.identity.mcp_credentials import McpCredential, McpCredentialStore

_COLUMNS: "tuple[Column[McpCredential], ...]" = (
    Column("username", attrgetter("username"), "USER", cut=True),
    Column("server_id", attrgetter("server_id"), "SERVER"),
    Column("created_at", attrgetter("created_at"), "SINCE", Kind.TIME),
)

_Server = Annotated[
    str, typer.Argument(metavar="SERVER", help="Id of the MCP server in the settings.")
]
_WHEN = "It takes effect in a running daemon within 15 minutes (--aibridge-pool-ttl)."


def mcp_token() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="mcp-token",
        no_args_is_help=True,
        help="Manage users' own tokens for MCP servers that take them (user_credentials).",
    )
    for name, command in (("set", _set), ("remove", _remove), ("list", _list)):
        group.command(name)(takes_database(command))
    return group


def _set(settings: "Settings", user: Username, server: _Server) -> None:
    """Save a user's token for an MCP server, encrypted; it is prompted for, or read from stdin.

    The encryption key is in the state directory, and is created with the first token. Requires
    --aibridge-auth token.
    """
    missing = extras.sentences("mcp", "Tokens can't be encrypted")
    if missing is not None:
        typer.echo(missing, err=True)
        raise typer.Exit(1)
    _warn_of(settings, server)
    token = _read_token(user, server)
    with errors_are_told():
        _store(settings, Access.CHANGE).put(user, server, token)
    say(f"Saved the token of {user} for {server}. {_WHEN}")


def _remove(settings: "Settings", user: Username, server: _Server) -> None:
    """Remove a user's token for an MCP server."""
    with errors_are_told():
        _store(settings, Access.CHANGE).remove(user, server)
    say(f"Removed the token of {user} for {server}. {_WHEN}")


def _list(
    settings: "Settings",
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List users' tokens for MCP servers, without the secrets. Times are in UTC."""
    view = chosen(_COLUMNS, wide, columns, output=output)
    with errors_are_told():
        found = _store(settings, Access.READ).list_all()
    show(found, view, output, nothing="No user has a token for an MCP server.")


def _store(settings: "Settings", access: Access) -> "McpCredentialStore":
    from aibridged.clock import SystemClock
    from aibridged.identity.credential_key import KEY_FILE, CredentialKey
    from aibridged.identity.mcp_credentials import McpCredentialStore

    key = CredentialKey(settings.state_dir / KEY_FILE)
    return McpCredentialStore(opened(settings, access), key, SystemClock())


def _warn_of(settings: "Settings", server: str) -> None:
    """Warn of what keeps the token from being used; the daemon may have other settings."""
    servers = {each.id: each for each in settings.mcp_servers}
    if server not in servers:
        why = "is not among the MCP servers of these settings"
    elif servers[server].user_credentials == "none":
        why = "has user_credentials: none in these settings, so users' tokens are not sent"
    else:
        return
    say(f"Note: {server} {why}.", err=True)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _read_token(user: str, server: str) -> "Secret":
    from aibridged.config import kinds
    from aibridged.config.key_mistakes import WrongTextError

    if _is_terminal():
        text = typer.prompt(f"Token of {user} for {server}", hide_input=True)
    else:
        text = sys.stdin.read()
    try:
        token = kinds.SECRET.parse(text.strip())
    except WrongTextError as error:
        say(f"Not a valid token: it {error}. {error.remedy}", err=True)
        raise typer.Exit(1) from None
    if token is None:
        say("No token on stdin.", err=True)
        raise typer.Exit(1)
    return token
