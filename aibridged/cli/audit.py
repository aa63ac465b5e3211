"""`aibridged audit`: shows the audit log."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.query_options import (
    LimitFlag,
    Output,
    OutputFlag,
    StartedAfterFlag,
    StartedBeforeFlag,
    moment,
    takes_query,
    up_to_limit,
    write,
)

if TYPE_CHECKING:
    from aibridged.identity.audit import AuditEntry
    from aibridged.records.query import Query

_OF_USERS = ("user", "users", "members")
"""Fields of changes that hold users' ids."""


def audit() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="audit",
        no_args_is_help=True,
        help="Show who changed users, groups, tokens and limits, and who read others' texts.",
    )
    group.command("list")(takes_query(_list))
    return group


def _target(entry: "AuditEntry") -> str:
    """The username in place of a user's id, and behind that of a token."""
    if entry.username is None:
        return entry.target
    is_token = entry.action.startswith("token.")
    return f"{entry.target} ({entry.username})" if is_token else entry.username


def _columns(names: Mapping[str, str]) -> "tuple[Column[AuditEntry], ...]":
    """The columns; `names` are usernames by the ids in changes."""
    return (
        Column("at", attrgetter("at"), "TIME", Kind.TIME),
        Column("actor", attrgetter("actor"), cut=True),
        Column("action", attrgetter("action")),
        Column("target", _target, cut=True),
        Column("change", lambda entry: _change(entry, names), below=True, cut=True),
        Column("id", attrgetter("id"), is_shown=False),
    )


def _change(entry: "AuditEntry", names: Mapping[str, str]) -> str:
    """What the change was: `name: Ann → Anna, is_admin: false → true`.

    What a row has beside it to say what was changed, such as a limit's period, is there once.
    """
    before, after = entry.before or {}, entry.after or {}
    parts = []
    for name in {**before, **after}:
        values = [_value(each[name], names) for each in (before, after) if name in each]
        if len(values) == 2 and values[0] == values[1]:
            del values[1]
        if any(values):
            parts.append(f"{name}: {' → '.join(value or '-' for value in values)}")
    return ", ".join(parts)


def _value(value: Any, names: Mapping[str, str]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    values = value if isinstance(value, list) else [value]
    return " ".join(names.get(str(each), str(each)) for each in values)


def _ids(found: "Iterable[AuditEntry]") -> set[str]:
    """The ids of users in the changes."""
    states = (state for entry in found for state in (entry.before, entry.after) if state)
    given = (state[name] for state in states for name in _OF_USERS if name in state)
    return {id for each in given for id in (each if isinstance(each, list) else [each])}


def _list(
    query: "Query",
    actor: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Part of the actor, such as a username.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(metavar="ACTION", help="An action, or all of a kind: user.edit, or user."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="A username, a group, or the id of a user or token."),
    ] = None,
    started_after: StartedAfterFlag = None,
    started_before: StartedBeforeFlag = None,
    limit: LimitFlag = 100,
    after_id: Annotated[
        int | None, typer.Option(metavar="ID", help="Show the next page, after this row.")
    ] = None,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List the audit log, newest first. Times are in UTC.

    It has a row for each change of users, groups, tokens and limits: who did what, when, and what
    was there before and after; and rows on who looked at the texts of others.
    """
    from aibridged.identity.audit import AuditFilter, entries, usernames
    from aibridged.records.storable import storable

    chosen(_columns({}), wide, columns, output=output)  # wrong names of columns come first
    wanted = AuditFilter(
        actor=actor and storable(actor),
        action=action and storable(action),
        target=target and storable(target),
        started_after=moment(started_after, "--started-after") if started_after else None,
        started_before=moment(started_before, "--started-before") if started_before else None,
        limit=limit,
        after_id=after_id,
    )

    def find(wanted: AuditFilter) -> "list[AuditEntry]":
        with query.reading() as connection:
            return list(entries(connection, wanted))

    found, more = up_to_limit(find, wanted, "--after-id with the last ID goes on (--wide).")
    with query.reading() as connection:
        names = usernames(connection, _ids(found))
    view = chosen(_columns(names), wide, columns, output=output)
    write(found, output, view, nothing="No row of the audit log matches.", more=more)
