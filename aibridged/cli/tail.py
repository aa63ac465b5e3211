"""`aibridged tail`: interceptions as they end."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.interceptions import ending, tokens
from aibridged.cli.query_options import as_json, moment, printable, takes_query
from aibridged.cli.table import aligned

if TYPE_CHECKING:
    from datetime import datetime

    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Interception

_EVERY_S = 0.5
# A start may be committed a little after a later one.
_LATE = timedelta(seconds=10)

# Fixed columns, since the rows to come are unknown; 79 characters with the gaps.
_COLUMNS = {"ENDED": 8, "USER": 13, "MODEL": 26, "END": 4, "TOOK": 6, "IN/OUT": 12}


class Form(StrEnum):
    """Output format of a line."""

    TABLE = "table"
    JSONL = "jsonl"


def _tail(
    query: "Query",
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Start of the time range: 10m ago, or a time; 0 is now."),
    ] = "0",
    output: Annotated[
        Form, typer.Option("--output", "-o", metavar="table|jsonl", help="Output format.")
    ] = Form.TABLE,
) -> None:
    """Show interceptions as they end, until Ctrl-C. Times are in UTC."""
    try:
        if output is Form.TABLE:
            typer.echo(_line(tuple(_COLUMNS)))
        for each in _follow(query, moment(since, "--since"), threading.Event().wait):
            typer.echo(_line(_cells(each)) if output is Form.TABLE else as_json(each, indent=None))
    except KeyboardInterrupt:
        raise typer.Exit() from None


tail = takes_query(_tail)
tail.__name__ = "tail"


def _follow(
    query: "Query", since: "datetime", pause: Callable[[float], object]
) -> "Iterator[Interception]":
    """Each interception that started since then, once, when it has ended."""
    from aibridged.records.query_results import Filter

    known: dict[str, datetime] = {}
    waiting: set[str] = set()
    while True:
        for each in _pages(query, Filter(started_after=since, oldest_first=True)):
            if each.id in known:
                continue
            known[each.id] = each.started_at
            if each.ended_at is None:
                waiting.add(each.id)
            else:
                yield each
        if known:
            since = max(since, max(known.values()) - _LATE)
            known = {id: started_at for id, started_at in known.items() if started_at >= since}
        if waiting:
            ended = waiting - {each.id for each in _pages(query, Filter(status="open"))}
            waiting -= ended
            # None is one that retention has deleted.
            found = (query.preview(id) for id in ended)
            yield from sorted(filter(None, found), key=lambda each: (each.ended_at, each.id))
        pause(_EVERY_S)


def _pages(query: "Query", wanted: "Filter") -> "Iterator[Interception]":
    """All matching interceptions, page by page."""
    import msgspec

    from aibridged.records.query import MAX_LIMIT

    wanted = msgspec.structs.replace(wanted, limit=MAX_LIMIT)
    while True:
        page = list(query.interceptions(wanted))
        yield from page
        if len(page) < MAX_LIMIT:
            return
        wanted = msgspec.structs.replace(wanted, after_id=page[-1].id)


def _cells(each: "Interception") -> tuple[str, ...]:
    ended_at = each.ended_at or each.started_at
    return (
        f"{ended_at:%H:%M:%S}",
        each.username or each.initiator_id,
        each.model,
        ending(each),
        f"{(ended_at - each.started_at).total_seconds():.1f}s",
        tokens(each),
    )


def _line(cells: Sequence[str]) -> str:
    return aligned(map(printable, cells), _COLUMNS.values())
