"""Shared options of the commands that query the record: filters and output formats."""

import csv
import functools
import inspect
import re
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aibridged.cli.database import takes_database
from aibridged.cli.table import table, terminal_width

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter

T = TypeVar("T")

_MAX_LIMIT = 1000
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # within words and emoji
# What JSON leaves unescaped: DEL, the C1 controls, line ends and changes of direction.
_DRIVES_TERMINALS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Output(StrEnum):
    """Output format."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class Status(StrEnum):
    """Outcome of an interception, if it has ended."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"


OutputFlag = Annotated[
    Output, typer.Option("--output", "-o", metavar="table|json|jsonl|csv", help="Output format.")
]


def _filters(
    initiator: Annotated[
        str | None, typer.Option(metavar="INITIATOR", help="Filter by user: a username or an id.")
    ] = None,
    started_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Start of the time range: 2026-01-31T12:00:00Z, or 2h, 7d ago."
        ),
    ] = None,
    started_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the time range, in the same format.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="PROVIDER", help="A provider's name or type.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="The model.")] = None,
    client: Annotated[
        str | None, typer.Option(metavar="CLIENT", help='The client, such as "Claude Code".')
    ] = None,
    session: Annotated[str | None, typer.Option(metavar="SESSION", help="The session.")] = None,
    status: Annotated[
        Status | None,
        typer.Option(
            metavar="STATUS",
            help="open, completed, failed, client_closed or interrupted.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MAX_LIMIT, help="Maximum number of results.")
    ] = 100,
) -> None:
    """The parameters of every query."""


def takes_query(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `Query` as its first argument, and flags for the database's location.

    Errors are printed on stderr, with exit status 1.
    """

    @functools.wraps(command)
    def with_query(settings: "Settings", **arguments: Any) -> None:
        from aibridged.clock import SystemClock
        from aibridged.records.cancel_scope import QueryFailedError
        from aibridged.records.database import DatabaseError
        from aibridged.records.open_database import read_database
        from aibridged.records.query import Query

        try:
            command(Query(read_database(settings), SystemClock()), **arguments)
        except (DatabaseError, QueryFailedError) as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None

    with_query.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]
    return takes_database(with_query)


def takes_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Like `takes_query`, with the filter flags as a `Filter` in the second argument."""
    shared = list(inspect.signature(_filters).parameters.values())
    query, _wanted, *own = inspect.signature(command).parameters.values()

    @functools.wraps(command)
    def with_filter(query: "Query", **arguments: Any) -> None:
        given = {each.name: arguments.pop(each.name) for each in shared}
        command(query, _filter(given), **arguments)

    parameters = [query, *own, *shared]
    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters[1:]]
    with_filter.__signature__ = inspect.Signature([query, *keyword_only])  # type: ignore[attr-defined]
    return takes_query(with_filter)


def write(
    answers: Sequence[T],
    output: Output,
    headings: Sequence[str],
    cells: Callable[[T], Sequence[str]],
    *,
    columns: Mapping[str, Callable[[T], object]],
    cut: Sequence[str],
    spare: Sequence[str] = (),
    note: Callable[[T], str] = lambda answer: "",
    nothing: str,
    more: str = "",
) -> None:
    """Write results: `cells` for people, `columns` exactly as CSV, everything as JSON.

    See `table` for `cut`, `spare` and the `note` of each. `more` is printed last, on stderr.
    """
    match output:
        case Output.JSON:
            typer.echo(as_json(answers))
        case Output.JSONL:
            for answer in answers:
                typer.echo(as_json(answer, indent=None))
        case Output.CSV:
            rows = csv.writer(sys.stdout)
            rows.writerow(columns)
            rows.writerows(
                [_field(value(answer)) for value in columns.values()] for answer in answers
            )
        case Output.TABLE if answers:
            shown = [[printable(cell) for cell in cells(answer)] for answer in answers]
            notes = [printable(note(answer)) for answer in answers]
            room = terminal_width()
            typer.echo(table(headings, shown, cut=cut, spare=spare, notes=notes, room=room))
        case Output.TABLE:
            typer.echo(nothing, err=True)
    if more:
        typer.echo(more, err=True)


def up_to_limit(
    find: "Callable[[Filter], Iterable[T]]", wanted: "Filter", advice: str
) -> tuple[list[T], str]:
    """What is found, up to the limit; and what to say of it if there is more, with this advice."""
    import msgspec

    found = list(find(msgspec.structs.replace(wanted, limit=wanted.limit + 1)))
    if len(found) <= wanted.limit:
        return found, ""
    return found[:-1], f"There are more: the list stops at --limit {wanted.limit}. {advice}"


NARROW = f"Narrow the filters, or raise it (up to {_MAX_LIMIT})."
"""What to do about a list that goes on and has no pages."""


def as_json(answer: Any, *, indent: int | None = 2) -> str:
    """A result as JSON, with terminal control characters escaped: its strings are callers'."""
    import msgspec

    encoded = msgspec.json.encode(answer)
    text = (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()
    return _DRIVES_TERMINALS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_list(answers: Iterable[Any]) -> Iterator[str]:
    """The same for many results, a few lines at a time."""
    before = "["
    for answer in answers:
        yield before
        before = f"{textwrap.indent(as_json(answer), '  ')},"
    yield f"{before[:-1]}\n]" if before != "[" else "[]"


def printable(text: str) -> str:
    """Text on one line, without terminal control characters: it is a caller's."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _field(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else printable(str(value))


def _printable(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    blank = character in "\r\n\t" or unicodedata.category(character) == "Zs"
    return " " if blank else "\N{REPLACEMENT CHARACTER}"


def short(count: int) -> str:
    """A short form of a count: 950, 12.3k, 4.5M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


def moment(text: str, flag: str) -> datetime:
    """A time in RFC 3339, in UTC by default, or a duration before now."""
    from aibridged.clock import SystemClock
    from aibridged.config import durations

    try:
        return SystemClock().wall() - timedelta(seconds=durations.parse(text))
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time: use 2026-01-31T12:00:00Z, or 2h or 7d for that long ago.",
            param_hint=flag,
        ) from None


def _filter(given: dict[str, Any]) -> "Filter":
    from aibridged.records.query_results import Filter

    for name in ("started_after", "started_before"):
        if given[name] is not None:
            given[name] = moment(given[name], f"--{name.replace('_', '-')}")
    if given["status"] is not None:
        given["status"] = given["status"].value
    return Filter(**given)
