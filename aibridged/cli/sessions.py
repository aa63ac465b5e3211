"""`aibridged sessions`: what was asked, as a person wants to read it."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.asking import (
    Output,
    OutputFlag,
    as_json,
    printable,
    short,
    takes_filter,
    takes_query,
    write,
)
from aibridged.cli.cells import WIDTH, wrapped
from aibridged.cli.interceptions import ending

if TYPE_CHECKING:
    from aibridged.records.answers import Filter, Interception, Session
    from aibridged.records.query import Query

_HEADINGS = ("SESSION", "USER", "CLIENT", "LAST", "N")
_COLUMNS: "dict[str, Callable[[Session], object]]" = {
    name: attrgetter(name)
    for name in (
        "session_id",
        "initiator_id",
        "username",
        "client",
        "started_at",
        "last_at",
        "interceptions",
    )
}
_MAX_LINES = 12


class ShownAs(StrEnum):
    """How a session is written."""

    TEXT = "text"
    JSON = "json"


def sessions() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="sessions", no_args_is_help=True, help="Show what was asked, session by session."
    )
    group.command("list")(takes_filter(_list))
    group.command("show")(takes_query(_show))
    return group


def _list(query: "Query", wanted: "Filter", output: OutputFlag = Output.TABLE) -> None:
    """List sessions, those used last first. Times are in UTC."""
    write(
        query.sessions(wanted),
        output,
        _HEADINGS,
        _cells,
        columns=_COLUMNS,
        cut=("USER", "CLIENT"),  # the id is what `show` takes
        nothing="No session matches.",
    )


def _cells(each: "Session") -> tuple[str, ...]:
    return (
        each.session_id,
        each.username or each.initiator_id,
        each.client,
        f"{each.last_at:%m-%d %H:%M}",
        str(each.interceptions),
    )


def _show(
    query: "Query",
    session: Annotated[str, typer.Argument(metavar="SESSION", help="As `sessions list` shows it.")],
    full: Annotated[bool, typer.Option("--full", help="Don't shorten long texts.")] = False,
    output: Annotated[
        ShownAs,
        typer.Option("--output", "-o", metavar="text|json", help="json lists whole interceptions."),
    ] = ShownAs.TEXT,
) -> None:
    """Show a session thread by thread: prompts, thoughts, tool calls and tokens."""
    found = query.session(session)
    if not found:
        typer.echo(
            f"There is no session {printable(session)!r}. See `aibridged sessions list`.", err=True
        )
        raise typer.Exit(1)
    if output is ShownAs.JSON:
        typer.echo(as_json(found))
        return
    for line in _story(found, None if full else _MAX_LINES):
        typer.echo(line)


def _story(found: "Sequence[Interception]", most: int | None) -> Iterator[str]:
    first = found[0]
    who = ", ".join(sorted({each.username or each.initiator_id for each in found}))
    yield printable(f"Session {first.session_id}")
    yield printable(f"{who}, {first.client}, from {first.started_at:%Y-%m-%d %H:%M} UTC")
    yield _tokens(found)
    threads = groupby(found, key=lambda each: each.thread_root_id or each.id)
    for number, (_, thread) in enumerate(threads, 1):
        yield ""
        yield f"Thread {number}"
        for each in thread:
            yield from _turn(each, most)


def _turn(each: "Interception", most: int | None) -> Iterator[str]:
    took = f"{(each.ended_at - each.started_at).total_seconds():.1f} s" if each.ended_at else "…"
    head = f"{each.started_at:%H:%M:%S}  {each.model}  {ending(each)}  {took}"
    yield from _text("  ", f"{head}  {_tokens([each])}", None)
    for prompt in each.user_prompts:
        yield from _text("    > ", prompt["prompt"], most)
    for thought in each.model_thoughts:
        yield from _text("    ~ ", thought["content"] or "(redacted)", most)
    for call in each.tool_usages:
        yield from _text("    $ ", f"{call['tool']} {call['input']}", most)
        if call["injected"]:
            error = call["invocation_error"]
            came_of_it = f"failed: {error}" if error else "done"
            yield from _text("      ", f"(run by the gateway, {came_of_it})", most)


def _text(mark: str, text: str, most: int | None) -> Iterator[str]:
    """The text wrapped behind its mark; `most` lines of it."""
    room = WIDTH - len(mark)
    lines = [part for line in text.splitlines() for part in wrapped(printable(line), room) or [""]]
    shown = lines if most is None or len(lines) <= most else lines[:most]
    for number, line in enumerate(shown):
        yield (mark if number == 0 else " " * len(mark)) + line
    if len(shown) < len(lines):
        yield f"{' ' * len(mark)}… {len(lines) - len(shown)} more lines (--full)"


def _tokens(found: "Sequence[Interception]") -> str:
    def total(column: str) -> int:
        return sum(each.tokens(column) for each in found)

    read = total("cache_read_input_tokens")
    given = total("input_tokens") + read + total("cache_write_input_tokens")
    cached = f" ({read / given:.0%} cached)" if read else ""
    return f"{short(given)} tokens in{cached}, {short(total('output_tokens'))} out"
