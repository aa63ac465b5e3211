"""`aibridged groups`: manages groups of users."""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.confirmation import YesFlag, confirm
from aibridged.cli.database import takes_database
from aibridged.cli.identity_store import (
    Access,
    Output,
    OutputFlag,
    changing,
    errors_are_told,
    opened,
    show,
    told,
)
from aibridged.cli.say import say
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.identity.groups import GroupInfo, GroupStore

_COLUMNS: "tuple[Column[GroupInfo], ...]" = (
    Column("name", attrgetter("name"), cut=True),
    Column("members", lambda group: len(group.members), kind=Kind.COUNT),
    Column("usernames", lambda group: list(group.members), "USERS", cut=True),
    Column("created_at", attrgetter("created_at"), "CREATED", Kind.TIME),
    Column("id", attrgetter("id"), is_shown=False),
)

_Group = Annotated[str, typer.Argument(metavar="GROUP", help="A name from `groups list`.")]
_Users = Annotated[list[str], typer.Argument(metavar="USER", help="Usernames from `users list`.")]
_WHEN = "A running daemon notices within a minute, by default."


def groups() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="groups", no_args_is_help=True, help="Manage groups of users.")
    commands: tuple[tuple[str, Callable[..., None]], ...] = (
        ("create", _create),
        ("list", _list),
        ("delete", _delete),
        ("add", _add),
        ("remove", _remove),
    )
    for name, command in commands:
        group.command(name)(takes_database(command, tells=command is not _list))
    return group


def _create(
    settings: "Settings",
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new group.")],
    output: OutputFlag = Output.TABLE,
) -> None:
    """Create a group without members."""
    with changing(settings):
        group = _store(settings, Access.CHANGE).create(name)
    told(group, output, f"Created the group {name}.")


def _list(
    settings: "Settings",
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List all groups with their members, by name. Times are in UTC."""
    view = chosen(_COLUMNS, wide, columns, output=output)
    with errors_are_told():
        found = _store(settings, Access.READ).list_groups()
    show(found, view, output, nothing="There are no groups.")


def _delete(
    settings: "Settings", group: _Group, yes: YesFlag = False, output: OutputFlag = Output.TABLE
) -> None:
    """Delete a group. Its members stay users."""
    from aibridged.identity.users import no_such_group

    with changing(settings):
        store = _store(settings, Access.CHANGE)
        known = {each.name: each for each in store.list_groups()}
        if group not in known:
            raise no_such_group(group, list(known))
        members = counted(len(known[group].members), "member")
        confirm(f"Delete the group {group} with {members}?", yes=yes)
        gone = store.delete(group)
    told(gone, output, f"Deleted the group {group}. {_WHEN}")


def _add(settings: "Settings", group: _Group, users: _Users) -> None:
    """Add users to a group, where they stay until they are removed."""
    with changing(settings):
        _store(settings, Access.CHANGE).add(group, users)
    say(f"Added {counted(len(set(users)), 'user')} to {group}. {_WHEN}")


def _remove(settings: "Settings", group: _Group, users: _Users) -> None:
    """Remove users from a group.

    Those whom their identity provider puts into it are back when they next sign in.
    """
    with changing(settings):
        _store(settings, Access.CHANGE).remove(group, users)
    say(f"Removed {counted(len(set(users)), 'user')} from {group}. {_WHEN}")


def _store(settings: "Settings", access: Access) -> "GroupStore":
    from aibridged.clock import SystemClock
    from aibridged.identity.groups import GroupStore

    return GroupStore(opened(settings, access), SystemClock())
