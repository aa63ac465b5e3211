"""`aibridged users`: manages users."""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.database import takes_database
from aibridged.cli.erase import erase
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    Username,
    as_json,
    show,
    takes_store,
)
from aibridged.cli.mcp_token import mcp_token
from aibridged.cli.say import say
from aibridged.cli.sign_out import sign_out

if TYPE_CHECKING:
    from aibridged.identity.tokens import TokenStore
    from aibridged.identity.users import User

_COLUMNS: "tuple[Column[User], ...]" = (
    Column("username", attrgetter("username"), cut=True),
    Column("name", attrgetter("name"), cut=True),
    Column("email", attrgetter("email"), cut=True),
    Column("role", lambda user: "admin" if user.is_admin else "user"),
    Column("status", attrgetter("status")),
    Column("created_at", attrgetter("created_at"), "CREATED", Kind.TIME),
    Column("id", attrgetter("id"), is_shown=False),
)


def users() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="users", no_args_is_help=True, help="Manage the users of the gateway.")
    commands: tuple[tuple[str, Callable[..., None], Access], ...] = (
        ("create", _create, Access.CREATE),
        ("list", _list, Access.READ),
        ("suspend", _suspend, Access.CHANGE),
        ("resume", _resume, Access.CHANGE),
        ("delete", _delete, Access.CHANGE),
    )
    for name, command, access in commands:
        group.command(name)(takes_store(command, access))
    group.command("erase")(takes_database(erase))
    group.command("sign-out")(takes_database(sign_out))
    group.add_typer(mcp_token())
    return group


def _create(
    store: "TokenStore",
    username: Annotated[
        str, typer.Argument(metavar="USERNAME", help="Lower-case letters, digits and hyphens.")
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", help="Display name.")] = "",
    email: Annotated[str | None, typer.Option(metavar="TEXT", help="Email address.")] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Grant access to the records of all users.")
    ] = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Create a user. They also need a token: see `aibridged tokens create`."""
    user = store.create_user(username, name=name, email=email, is_admin=admin)
    _say(user, f"Created the user {user.username} in {store.place}.", output)


def _list(
    store: "TokenStore",
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List all users, by username. Times are in UTC."""
    view = chosen(_COLUMNS, wide, columns, output=output)
    found = store.list_users()
    show(found, view, output, nothing=f"There are no users in {store.place}.")


def _suspend(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Reject all tokens of a user until `resume`.

    It takes effect in a running daemon within a few seconds.
    """
    user = store.suspend_user(username)
    _say(
        user,
        f"Suspended {username}. A running daemon rejects their tokens within a few seconds.",
        output,
    )


def _resume(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Accept a suspended user's tokens again."""
    user = store.resume_user(username)
    _say(
        user,
        f"Resumed {username}. A running daemon accepts their tokens within 10 seconds.",
        output,
    )


def _delete(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Delete a user and revoke all of their tokens. Their records are kept.

    It takes effect in a running daemon within a few seconds.
    """
    user = store.delete_user(username)
    _say(
        user,
        f"Deleted {username}. A running daemon rejects their tokens within a few seconds.",
        output,
    )


def _say(user: "User", sentence: str, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(as_json(user))
    else:
        say(sentence)
