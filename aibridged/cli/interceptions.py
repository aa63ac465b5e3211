"""`aibridged interceptions`: what was asked, request by request."""

from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.asking import (
    Output,
    OutputFlag,
    printable,
    short,
    takes_filter,
    takes_query,
    write,
)

if TYPE_CHECKING:
    from aibridged.records.answers import Filter, Interception
    from aibridged.records.query import Query

HEADINGS = ("ID", "STARTED", "USER", "MODEL", "END", "IN/OUT")
CUT = ("USER", "MODEL")


def interceptions() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="interceptions", no_args_is_help=True, help="What was asked, request by request."
    )
    group.command("list")(takes_filter(_list))
    group.command("show")(takes_query(_show))
    return group


def cells(each: "Interception") -> tuple[str, ...]:
    """The cells of one row. The id is without its hyphens, which `show` doesn't need."""
    given = sum(
        each.tokens(name)
        for name in ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
    )
    return (
        each.id.replace("-", ""),
        f"{each.started_at:%m-%d %H:%M}",
        each.username or each.initiator_id,
        each.model,
        ending(each),
        f"{short(given)}/{short(each.tokens('output_tokens'))}",
    )


def ending(each: "Interception") -> str:
    """The status code, or a word where that doesn't tell how it ended."""
    if each.outcome is None:
        return "open"
    if each.outcome == "completed" or (each.outcome == "failed" and each.status_code != 200):
        return str(each.status_code)
    return _WORDS[each.outcome]


_WORDS = {"failed": "fail", "client_closed": "left", "interrupted": "cut"}


def _list(
    query: "Query",
    wanted: "Filter",
    after_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The next page: what is older than this one.")
    ] = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List interceptions, the newest first. Times are in UTC."""
    import msgspec

    found = query.interceptions(msgspec.structs.replace(wanted, after_id=after_id))
    write(found, output, HEADINGS, cells, cut=CUT, nothing="No interception matches.")


def _show(
    query: "Query",
    id: Annotated[str, typer.Argument(metavar="ID", help="As `interceptions list` shows it.")],
) -> None:
    """Show all of one interception, as JSON."""
    import msgspec

    found = query.interception(id)
    if found is None:
        typer.echo(
            f"There is no interception {printable(id)!r}. See `aibridged interceptions list`.",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
