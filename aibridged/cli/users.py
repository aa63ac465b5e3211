"""`aibridged users`: who may have tokens."""

from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.identity_store import Output, OutputFlag, as_json, day, takes_store
from aibridged.cli.mcp_token import mcp_token
from aibridged.cli.table import table

if TYPE_CHECKING:
    from aibridged.identity.tokens import TokenStore
    from aibridged.identity.users import User

Username = Annotated[str, typer.Argument(metavar="USER", help="As `users list` shows it.")]


def users() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="users", no_args_is_help=True, help="Manage who may use the gateway.")
    for name, command in (
        ("create", _create),
        ("list", _list),
        ("suspend", _suspend),
        ("resume", _resume),
        ("delete", _delete),
    ):
        group.command(name)(takes_store(command))
    group.add_typer(mcp_token())
    return group


def _create(
    store: "TokenStore",
    username: Annotated[
        str, typer.Argument(metavar="USERNAME", help="Lower-case letters, digits and hyphens.")
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", help="The name people know.")] = "",
    email: Annotated[str | None, typer.Option(metavar="TEXT", help="The email address.")] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="May see what everybody asked, not only their own.")
    ] = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Add a user. They need a token too: see `aibridged tokens create`."""
    user = store.create_user(username, name=name, email=email, is_admin=admin)
    _say(user, f"Made the user {user.username} in {store.place}.", output)


def _list(store: "TokenStore", output: OutputFlag = Output.TABLE) -> None:
    """List all users, by username. Times are in UTC."""
    found = store.list_users()
    if output is Output.JSON:
        typer.echo(as_json(found))
        return
    if not found:
        typer.echo(f"There are no users in {store.place}.", err=True)
        return
    headings = ("USERNAME", "NAME", "EMAIL", "ROLE", "STATUS", "CREATED")
    rows = [
        (
            user.username,
            user.name,
            user.email or "",
            "admin" if user.is_admin else "user",
            user.status,
            day(user.created_at),
        )
        for user in found
    ]
    typer.echo(table(headings, rows, cut=("USERNAME", "NAME", "EMAIL")))


def _suspend(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Refuse all of a user's tokens until `resume`.

    A running daemon notices within a few seconds.
    """
    user = store.suspend_user(username)
    _say(user, f"Suspended {username}. A running daemon refuses them within a few seconds.", output)


def _resume(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Accept a suspended user's tokens again."""
    user = store.resume_user(username)
    _say(user, f"Resumed {username}. A running daemon lets them in within 10 seconds.", output)


def _delete(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Delete a user and revoke all of their tokens. What they asked stays on record.

    A running daemon notices within a few seconds.
    """
    user = store.delete_user(username)
    _say(user, f"Deleted {username}. A running daemon refuses them within a few seconds.", output)


def _say(user: "User", sentence: str, output: Output) -> None:
    typer.echo(as_json(user) if output is Output.JSON else sentence)
