"""`aibridged tail`: interceptions as they end."""

import threading
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.asking import moment, printable, takes_query
from aibridged.cli.interceptions import HEADINGS, cells
from aibridged.cli.table import table

if TYPE_CHECKING:
    from datetime import datetime

    from aibridged.records.answers import Interception
    from aibridged.records.query import Query

_EVERY_S = 0.5
_WIDTHS = ("0" * 32, "00-00 00:00", "0" * 9, "0" * 8, "0000", "00.0k/00.0k")


class Form(StrEnum):
    """How a line is written."""

    TABLE = "table"
    JSONL = "jsonl"


def _tail(
    query: "Query",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Begin with what started then: 10m ago, or a time.")
    ] = "0",
    output: Annotated[
        Form, typer.Option("--output", "-o", metavar="table|jsonl", help="How to print it.")
    ] = Form.TABLE,
) -> None:
    """Show interceptions as they end, until Ctrl-C."""
    import msgspec

    try:
        if output is Form.TABLE:
            typer.echo(_line(HEADINGS))
        for each in _follow(query, moment(since, "--since")):
            if output is Form.TABLE:
                typer.echo(_line([printable(cell) for cell in cells(each)]))
            else:
                typer.echo(msgspec.json.encode(each).decode())
    except KeyboardInterrupt:
        raise typer.Exit() from None


tail = takes_query(_tail)
tail.__name__ = "tail"


def _follow(query: "Query", since: "datetime") -> "Iterator[Interception]":
    """Each interception once, when it has ended; asks anew from the oldest that hasn't."""
    from aibridged.records.answers import Filter
    from aibridged.records.query import MAX_LIMIT

    shown: set[str] = set()
    pause = threading.Event()
    while True:
        found = query.interceptions(Filter(started_after=since, limit=MAX_LIMIT))[::-1]
        for each in found:
            if each.ended_at is not None and each.id not in shown:
                yield each
        shown = {each.id for each in found if each.ended_at is not None}
        waiting = [each.started_at for each in found if each.ended_at is None]
        since = min([*waiting, *(each.started_at for each in found[-1:])], default=since)
        pause.wait(_EVERY_S)


def _line(row: tuple[str, ...] | list[str]) -> str:
    """A row in columns that don't move, since nobody knows the rows to come."""
    return table(_WIDTHS, [row], cut=()).splitlines()[1] if row else ""
