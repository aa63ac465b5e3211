"""`aibridged audit`: shows the audit log."""

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

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


def audit() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="audit",
        no_args_is_help=True,
        help="Show who changed what, and who read the texts of others.",
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
    from aibridged.identity.audit import change_in_words

    return (
        Column("at", attrgetter("at"), "TIME", Kind.TIME),
        Column("actor", attrgetter("actor"), cut=True),
        Column("action", attrgetter("action")),
        Column("target", _target, cut=True),
        Column("change", lambda entry: change_in_words(entry, names), below=True, cut=True),
        Column("id", attrgetter("id"), is_shown=False),
    )


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
    from aibridged.identity.audit import AuditFilter, entries, ids_of_users, usernames
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
        names = usernames(connection, ids_of_users(found))
    view = chosen(_columns(names), wide, columns, output=output)
    write(found, output, view, nothing="No row of the audit log matches.", more=more)
