"""`aibridged interceptions`: lists and shows recorded interceptions."""

from collections.abc import Callable
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.query_options import (
    Output,
    OutputFlag,
    as_json,
    printable,
    short,
    takes_filter,
    takes_query,
    up_to_limit,
    write,
)

if TYPE_CHECKING:
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Interception

_HEADINGS = ("ID", "STARTED", "USER", "MODEL", "END", "IN/OUT")
_FIELDS = (
    "id",
    "started_at",
    "ended_at",
    "username",
    "initiator_id",
    "provider_name",
    "model",
    "client",
    "session_id",
    "outcome",
    "status_code",
    "background_status",
    "error_type",
    "error_source",
    "error_code",
    "error_message",
)
TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
)
_COLUMNS: "dict[str, Callable[[Interception], object]]" = {
    **{name: attrgetter(name) for name in _FIELDS},
    **{name: methodcaller("tokens", name) for name in TOKENS},
}


def interceptions() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="interceptions", no_args_is_help=True, help="Show recorded interceptions."
    )
    group.command("list")(takes_filter(_list))
    group.command("show")(takes_query(_show))
    return group


def tokens(each: "Interception") -> str:
    """Tokens in, cached ones included, and out."""
    given = sum(each.tokens(name) for name in TOKENS[:-1])
    return f"{short(given)}/{short(each.tokens('output_tokens'))}"


def _cells(each: "Interception") -> tuple[str, ...]:
    return (
        each.id,
        f"{each.started_at:%m-%d %H:%M}",
        each.username or each.initiator_id,
        each.model,
        ending(each),
        tokens(each),
    )


def ending(each: "Interception") -> str:
    """The status code, or the outcome where that says more."""
    if each.outcome is None:
        return "open"
    if each.background_status in _RUNNING:
        return "queued"
    if each.outcome == "completed" or (each.outcome == "failed" and each.status_code != 200):
        return str(each.status_code)
    return _WORDS[each.outcome]


_RUNNING = ("queued", "in_progress")  # what it comes to has not been fetched


def reason(each: "Interception") -> str:
    """Why it failed, and whose error it is; empty if it didn't."""
    if each.error_type is None:
        return ""
    return f"{each.error_source}: {each.error_code or each.error_type}: {each.error_message}"


_WORDS = {"failed": "fail", "client_closed": "left", "interrupted": "cut"}


def _list(
    query: "Query",
    wanted: "Filter",
    after_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Show the next page, after this interception.")
    ] = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List interceptions, newest first. Times are in UTC.

    Below a failed one is why: the provider's own error, or the gateway's. Narrow terminals leave
    out IN/OUT, the tokens. In JSON, texts are truncated; `interceptions show` shows them in full.
    """
    import msgspec

    wanted = msgspec.structs.replace(wanted, after_id=after_id)
    advice = "--after-id with the last ID goes on."
    found, more = up_to_limit(query.interceptions, wanted, advice)
    write(
        found,
        output,
        _HEADINGS,
        _cells,
        columns=_COLUMNS,
        cut=("USER", "MODEL"),
        spare=("IN/OUT",),
        note=reason,
        nothing="No interception matches.",
        more=more,
    )


def _show(
    query: "Query",
    id: Annotated[str, typer.Argument(metavar="ID", help="An id from `interceptions list`.")],
) -> None:
    """Show one interception in full, as JSON."""
    found = query.interception(id)
    if found is None:
        typer.echo(
            f"There is no interception {printable(id)!r}. See `aibridged interceptions list`.",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(as_json(found))
