"""`aibridged interceptions`: lists and shows recorded interceptions."""

from functools import partial
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.query_options import (
    SEARCH_S,
    WHOLE,
    ErrorFlag,
    MinCostFlag,
    Output,
    OutputFlag,
    TextFlag,
    ToolFlag,
    as_json,
    costing,
    none_found,
    searched,
    searching,
    takes_filter,
    takes_query,
    up_to_limit,
    write,
)

if TYPE_CHECKING:
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Interception, Session

TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
)


def interceptions() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="interceptions", no_args_is_help=True, help="Show recorded interceptions."
    )
    group.command("list")(takes_filter(_list))
    group.command("show")(takes_query(_show))
    return group


def user(each: "Interception | Session") -> str:
    """The username, or the id of a user whose name wasn't known."""
    return each.username or each.initiator_id


def status(each: "Interception") -> str:
    """The HTTP status, or the outcome where that says more."""
    if each.outcome is None:
        return "open"
    if each.background_status in _RUNNING:
        return "queued"
    if each.outcome == "completed" or (each.outcome == "failed" and each.status_code != 200):
        return str(each.status_code)
    return each.outcome


def short_status(each: "Interception") -> str:
    """The same in six letters."""
    found = status(each)
    return _SHORT.get(found, found)


_RUNNING = ("queued", "in_progress")  # what it comes to has not been fetched
_SHORT = {"client_closed": "left", "interrupted": "cut"}


def seconds(each: "Interception") -> float | None:
    """How long it took; None while it is open."""
    return (each.ended_at - each.started_at).total_seconds() if each.ended_at else None


def tokens_in(each: "Interception") -> int:
    """Input tokens, cached ones included."""
    return sum(each.tokens(name) for name in TOKENS[:-1])


def cost(each: "Interception | Session") -> tuple[int | None, str | None]:
    """Nano-dollars and their label; see `Kind.COST`."""
    return each.cost, each.cost_label


def reason(each: "Interception") -> str:
    """Why it failed, and whose error it is; empty if it didn't."""
    if each.error_type is None:
        return ""
    return f"{each.error_source}: {each.error_code or each.error_type}: {each.error_message}"


def _on_demand(name: str) -> "Column[Interception]":
    return Column(name, attrgetter(name), is_shown=False)


COLUMNS: "tuple[Column[Interception], ...]" = (
    Column("id", attrgetter("id"), kind=Kind.ID),
    Column("started_at", attrgetter("started_at"), "STARTED", Kind.TIME),
    Column("ended_at", attrgetter("ended_at"), "ENDED", Kind.TIME, is_shown=False),
    Column("user", user, in_csv=False, cut=True),
    *map(_on_demand, ("username", "initiator_id", "provider_name")),
    Column("model", attrgetter("model"), cut=True),
    *map(_on_demand, ("client", "session_id")),
    Column("status", status, in_csv=False, short=short_status),
    *map(_on_demand, ("outcome", "status_code", "background_status")),
    Column("took", seconds, kind=Kind.DURATION, in_csv=False, spare=True),
    *(
        Column(name, methodcaller("tokens", name), kind=Kind.COUNT, is_shown=False)
        for name in TOKENS[:-1]
    ),
    Column("tokens_in", tokens_in, "IN", Kind.COUNT, in_csv=False, spare=True),
    Column("output_tokens", methodcaller("tokens", "output_tokens"), "OUT", Kind.COUNT),
    Column("cost", cost, kind=Kind.COST),
    _on_demand("cost_label"),
    *map(_on_demand, ("error_type", "error_source", "error_code", "error_message")),
    Column("reason", reason, in_csv=False, below=True, cut=True),
)


def _list(
    query: "Query",
    wanted: "Filter",
    after_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Show the next page, after this interception.")
    ] = None,
    min_cost: MinCostFlag = None,
    text: TextFlag = None,
    tool: ToolFlag = None,
    error: ErrorFlag = None,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List interceptions, newest first. Times are in UTC.

    Below a failed one is why: the provider's own error, or the gateway's. In narrow terminals ids
    and times are short; the beginning of an id can be typed wherever an id can. In JSON, texts are
    truncated; `interceptions show` shows them in full.
    """
    import msgspec

    view = chosen(COLUMNS, wide, columns, output=output)
    wanted = searching(costing(wanted, min_cost), text=text, tool=tool, error=error)
    wanted = msgspec.structs.replace(wanted, after_id=after_id)
    advice = "--after-id with the last ID goes on."
    search = query.search(SEARCH_S)
    find = partial(query.interceptions, with_texts=output in WHOLE, search=search)
    found, more = up_to_limit(find, wanted, advice)
    more = searched(search, more)
    write(found, output, view, nothing="No interception matches.", more=more)


def _show(
    query: "Query",
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An id from `interceptions list` or the log, or its first 8 characters or more.",
        ),
    ],
) -> None:
    """Show one interception in full, as JSON."""
    found = query.interception(id)
    if found is None:
        none_found("interception", id, "interceptions")
    typer.echo(as_json(found))
