"""`aibridged users`: manages users."""

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.confirmation import YesFlag, confirm
from aibridged.cli.database import takes_database
from aibridged.cli.erase import erase
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    Username,
    show,
    takes_store,
    told,
)
from aibridged.cli.mcp_token import mcp_token
from aibridged.cli.sign_out import sign_out
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.identity.tokens import TokenStore
    from aibridged.identity.user_store import Imported
    from aibridged.identity.users import User

_COLUMNS: "tuple[Column[User], ...]" = (
    Column("username", attrgetter("username"), cut=True),
    Column("name", attrgetter("name"), cut=True),
    Column("email", attrgetter("email"), cut=True, spare=True),
    Column("role", lambda user: _role(user)),
    Column("status", attrgetter("status")),
    Column("groups", lambda user: list(user.groups), cut=True),
    Column("last_seen_at", attrgetter("last_seen_at"), "LAST SEEN", Kind.TIME, absent="never"),
    Column("id", attrgetter("id"), kind=Kind.ID),
    Column("created_at", attrgetter("created_at"), "CREATED", Kind.TIME, is_shown=False),
)

_Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="A group of the user; may be repeated."),
]
_NOTICED = "A running daemon notices within a minute, by default."


def users() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="users", no_args_is_help=True, help="Manage the users of the gateway.")
    commands: tuple[tuple[str, Callable[..., None], Access], ...] = (
        ("create", _create, Access.CREATE),
        ("edit", _edit, Access.CHANGE),
        ("import", _import, Access.CHANGE),
        ("list", _list, Access.READ),
        ("suspend", _suspend, Access.CHANGE),
        ("resume", _resume, Access.CHANGE),
        ("delete", _delete, Access.CHANGE),
    )
    for name, command, access in commands:
        group.command(name)(takes_store(command, access))
    group.command("erase")(takes_database(erase, tells=True))
    group.command("sign-out")(takes_database(sign_out, tells=True))
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
    robot: Annotated[
        bool, typer.Option("--robot", help="A pipeline or service, which can't sign in.")
    ] = False,
    group: _Groups = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Create a user. They also need a token: see `aibridged tokens create`."""
    user = store.create_user(
        username, name=name, email=email, is_admin=admin, is_robot=robot, groups=group or ()
    )
    told(user, output, f"Created the user {user.username} in {store.place}.")


def _edit(
    store: "TokenStore",
    user: Username,
    username: Annotated[str | None, typer.Option(metavar="USERNAME", help="New username.")] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Display name.")] = None,
    email: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Email address; '' removes it.")
    ] = None,
    admin: Annotated[
        bool | None,
        typer.Option("--admin/--no-admin", help="Access to the records of all users, or none."),
    ] = None,
    group: _Groups = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Change a user's username, name, email address, role or groups.

    With --group the user is in exactly the groups that are given; --group '' is none. Groups of the
    identity provider are back with the next sign-in; `aibridged groups add` and `remove` change one
    group.
    """
    from aibridged.identity.users import UserEdit

    groups = None if group is None else tuple(filter(None, group))
    edit = UserEdit(username, name, email, admin, groups)
    if edit == UserEdit():
        raise typer.BadParameter(
            "nothing to change: give --username, --name, --email, --admin, --no-admin or --group",
            param_hint=user,
        )
    edited = store.edit_user(user, edit)
    told(edited, output, f"Changed {edited.username}. {_NOTICED}")


def _import(
    store: "TokenStore",
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file in UTF-8.")],
    update: Annotated[bool, typer.Option("--update", help="Change users who exist, too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file, and change nothing.")
    ] = False,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Create users from a file with the header username,name,email,admin,groups.

    Only the first column is required; groups are separated by semicolons and must exist. If a line
    is wrong nothing is changed, and each wrong line is named. Of an existing user, --update changes
    what the file has columns for.
    """
    from aibridged.identity.user_csv import MAX_BYTES, read_users
    from aibridged.identity.users import IdentityError

    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise IdentityError(f"{file} can't be read: {error.strerror}.") from None
    done = store.import_users(read_users(content), update=update, dry_run=dry_run)
    told(done, output, _imported(done, dry_run=dry_run))


def _imported(done: "Imported", *, dry_run: bool) -> str:
    created, changed, unchanged = map(len, (done.created, done.changed, done.unchanged))
    text = f"{counted(created, 'user')} created, {changed} changed, {unchanged} unchanged."
    return f"Nothing was changed; without --dry-run: {text}" if dry_run else text


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
    told(
        user,
        output,
        f"Suspended {username}. A running daemon rejects their tokens within a few seconds.",
    )


def _resume(store: "TokenStore", username: Username, output: OutputFlag = Output.TABLE) -> None:
    """Accept a suspended user's tokens again."""
    user = store.resume_user(username)
    told(
        user,
        output,
        f"Resumed {username}. A running daemon accepts their tokens within 10 seconds.",
    )


def _delete(
    store: "TokenStore", username: Username, yes: YesFlag = False, output: OutputFlag = Output.TABLE
) -> None:
    """Delete a user and revoke all of their tokens. Their records are kept.

    It takes effect in a running daemon within a few seconds.
    """
    tokens = store.list_tokens(username)
    confirm(f"Delete {username} and revoke {counted(len(tokens), 'token')}?", yes=yes)
    user = store.delete_user(username)
    told(
        user,
        output,
        f"Deleted {username}. A running daemon rejects their tokens within a few seconds.",
    )


def _role(user: "User") -> str:
    roles = [role for role, has in (("robot", user.is_robot), ("admin", user.is_admin)) if has]
    return " ".join(roles) or "user"
