"""Shared options of the commands that query the record: filters and output formats."""

import csv
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from aibridged.cli.cells import printable
from aibridged.cli.columns import View
from aibridged.cli.database import takes_database
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.identity.audit import AuditFilter
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter
    from aibridged.records.search import Search

T = TypeVar("T")
F = TypeVar("F", "Filter", "AuditFilter")

_MAX_LIMIT = 1000
_SETTINGS = "settings"  # the argument of a command
# What JSON leaves unescaped: DEL, the C1 controls, line ends and changes of direction.
_DRIVES_TERMINALS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Output(StrEnum):
    """Output format."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


WHOLE = (Output.JSON, Output.JSONL)
"""The formats that have everything, whatever the columns."""


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

StartedAfterFlag = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Start of the time range: 2026-01-31T12:00:00Z, or 2h, 7d ago."
    ),
]
StartedBeforeFlag = Annotated[
    str | None, typer.Option(metavar="TIME", help="End of the time range, in the same format.")
]
LimitFlag = Annotated[
    int,
    typer.Option(
        "--limit", "-n", metavar="N", min=1, max=_MAX_LIMIT, help="Maximum number of results."
    ),
]
MinCostFlag = Annotated[
    str | None, typer.Option(metavar="DOLLARS", help="Only what has cost that much, such as 0.50.")
]

TextFlag = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only with that text in a prompt, whatever its case."),
]
ToolFlag = Annotated[
    str | None, typer.Option(metavar="TOOL", help="Only where that tool was called.")
]
ErrorFlag = Annotated[
    str | None,
    typer.Option(metavar="ERROR", help="Only with that type, code or source of an error."),
]
SEARCH_S = 8.0
"""How long a command searches for what no index finds."""


def _filters(
    initiator: Annotated[
        str | None,
        typer.Option(
            "--initiator",
            "--user",
            metavar="INITIATOR",
            help="Filter by user: a username or an id.",
        ),
    ] = None,
    started_after: StartedAfterFlag = None,
    started_before: StartedBeforeFlag = None,
    provider: Annotated[
        str | None, typer.Option(metavar="PROVIDER", help="A provider's name or type.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="The model.")] = None,
    client: Annotated[
        str | None, typer.Option(metavar="CLIENT", help='The client, such as "Claude Code".')
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(metavar="SESSION", help="The session: its id, or how only that one begins."),
    ] = None,
    status: Annotated[
        Status | None,
        typer.Option(
            metavar="STATUS",
            help="open, completed, failed, client_closed or interrupted.",
        ),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only failed ones, like --status failed.")
    ] = False,
    limit: LimitFlag = 100,
) -> None:
    """The parameters of every query."""


def takes_query(
    command: Callable[..., None], also: Sequence[str] | None = None
) -> Callable[..., None]:
    """Give a command a `Query` as its first argument, and flags for the database's location.

    `also` are further settings that it needs: then it gets all of them as its argument `settings`.
    Errors are printed on stderr, with exit status 1.
    """

    @functools.wraps(command)
    def with_query(settings: "Settings", **arguments: Any) -> None:
        from aibridged.records.cancel_scope import QueryFailedError
        from aibridged.records.database import DatabaseError

        if also is not None:
            arguments[_SETTINGS] = settings
        try:
            command(_query(settings), **arguments)
        except (DatabaseError, QueryFailedError) as error:
            say(str(error), err=True)
            raise typer.Exit(1) from None

    given = inspect.signature(command).parameters.values()
    offered = [each for each in given if each.name != _SETTINGS]
    with_query.__signature__ = inspect.Signature(offered)  # type: ignore[attr-defined]
    return takes_database(with_query, also or (), unasked=("prompt_access",))


def _query(settings: "Settings") -> "Query":
    """Queries as the user of the operating system sees them: the local actor's texts are theirs."""
    from aibridged.clock import SystemClock
    from aibridged.identity.anonymous import LOCAL_ACTOR
    from aibridged.identity.looks import Looks
    from aibridged.records.open_database import read_database
    from aibridged.records.query import Query
    from aibridged.records.viewer import Viewer

    engine, clock = read_database(settings), SystemClock()
    note = functools.partial(Looks(engine, clock).note, None, "cli")
    return Query(
        engine, clock, Viewer(LOCAL_ACTOR.id, note if settings.prompt_access == "admins" else None)
    )


def takes_filter(
    command: Callable[..., None],
    without: Collection[str] = (),
    also: Sequence[str] | None = None,
) -> Callable[..., None]:
    """Like `takes_query`, with the filter flags as a `Filter` in the second argument.

    `without` are those of them, by parameter, that the command doesn't take.
    """
    every = inspect.signature(_filters).parameters.values()
    shared = [each for each in every if each.name not in without]
    query, _wanted, *own = inspect.signature(command).parameters.values()

    @functools.wraps(command)
    def with_filter(query: "Query", **arguments: Any) -> None:
        given = {each.name: arguments.pop(each.name) for each in shared}
        command(query, _filter(query, given), **arguments)

    parameters = [query, *own, *shared]
    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters[1:]]
    with_filter.__signature__ = inspect.Signature([query, *keyword_only])  # type: ignore[attr-defined]
    return takes_query(with_filter, also)


def write(
    answers: Sequence[T],
    output: Output,
    view: View[T],
    *,
    nothing: str,
    more: str = "",
    total: T | None = None,
) -> None:
    """Write results: the columns of `view` as a table or CSV, everything as JSON.

    `total` is a last row of the table's, which isn't one of the results. `more` is printed last,
    on stderr.
    """
    match output:
        case Output.JSON:
            typer.echo(as_json(answers))
        case Output.JSONL:
            for answer in answers:
                typer.echo(as_json(answer, indent=None))
        case Output.CSV:
            rows = csv.writer(sys.stdout)
            rows.writerow([column.name for column in view.columns])
            rows.writerows([column.field(answer) for column in view.columns] for answer in answers)
        case Output.TABLE if answers:
            typer.echo(view.table(answers, total))
        case Output.TABLE:
            say(nothing, err=True)
    if more:
        say(more, err=True)


def up_to_limit(find: Callable[[F], Iterable[T]], wanted: F, advice: str) -> tuple[list[T], str]:
    """What is found, up to the limit; and what to say of it if there is more, with this advice."""
    return cut_to_limit(list(find(one_more(wanted))), wanted, advice)


def one_more(wanted: F) -> F:
    """The filter whose limit is one above: only so is it known whether there is more."""
    import msgspec

    return msgspec.structs.replace(wanted, limit=wanted.limit + 1)


def cut_to_limit(
    found: list[T], wanted: "Filter | AuditFilter", advice: str
) -> tuple[list[T], str]:
    """What `one_more` has found, without that one, and what to say of it."""
    if len(found) <= wanted.limit:
        return found, ""
    return found[:-1], f"There are more: the list stops at --limit {wanted.limit}. {advice}"


def none_found(what: str, id: str, command: str) -> NoReturn:
    """Print that nothing has this id, and exit with status 1."""
    from aibridged.records.id_prefixes import MIN_PREFIX

    mend = f"See `aibridged {command} list`."
    if len(id) < MIN_PREFIX:
        mend = f"Type at least its first {MIN_PREFIX} characters. {mend}"
    say(f"There is no {what} {printable(id)!r}. {mend}", err=True)
    raise typer.Exit(1)


NARROW = f"Narrow the filters, or raise it (up to {_MAX_LIMIT})."
"""What to do about a list that goes on and has no pages."""


def as_json(answer: Any, *, indent: int | None = 2) -> str:
    """A result as JSON, with terminal control characters escaped: its strings are callers'."""
    import msgspec

    from aibridged.core.money import in_json

    encoded = msgspec.json.encode(answer, enc_hook=in_json)
    text = (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()
    return escaped(text)


def escaped(text: str) -> str:
    """JSON with the terminal control characters that its encoder leaves in."""
    return _DRIVES_TERMINALS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_list(answers: Iterable[Any]) -> Iterator[str]:
    """The same for many results, a few lines at a time."""
    before = "["
    for answer in answers:
        yield before
        before = f"{textwrap.indent(as_json(answer), '  ')},"
    yield f"{before[:-1]}\n]" if before != "[" else "[]"


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


def costing(wanted: "Filter", min_cost: str | None) -> "Filter":
    """The filter with what `--min-cost` says.

    Raises:
        typer.BadParameter: it isn't an amount.
    """
    import msgspec

    from aibridged.core.money import parsed

    if min_cost is None:
        return wanted
    try:
        return msgspec.structs.replace(wanted, min_cost=parsed(min_cost))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--min-cost") from None


def searching(
    wanted: "Filter", *, text: str | None, tool: str | None, error: str | None
) -> "Filter":
    """The filter with what is to be searched for.

    Raises:
        typer.BadParameter: the text is too long, or empty.
    """
    import msgspec

    from aibridged.records.search import MAX_TEXT

    if text is not None and not 0 < len(text) <= MAX_TEXT:
        raise typer.BadParameter(f"it takes 1 to {MAX_TEXT} characters.", param_hint="--text")
    return msgspec.structs.replace(wanted, text=text, tool=tool, error=error)


def searched(search: "Search", more: str) -> str:
    """What to say of a search that ran out of time, before what is said of what there is more."""
    if search.until is None:
        return more
    until = f"{search.until:%Y-%m-%dT%H:%M:%SZ}"
    return f"Searched back to {until}: --started-before {until} goes on.{more and ' '}{more}"


def _filter(query: "Query", given: dict[str, Any]) -> "Filter":
    from aibridged.records.query_results import Filter

    for name in ("started_after", "started_before"):
        if given.get(name) is not None:
            given[name] = moment(given[name], f"--{name.replace('_', '-')}")
    status = given.pop("status")
    if given.pop("failed"):
        if status not in (None, Status.FAILED):
            raise typer.BadParameter(
                f"it contradicts --status {status}: use one of them.", param_hint="--failed"
            )
        status = Status.FAILED
    if given["session"] is not None:
        given["session"] = query.session_id(given["session"]) or given["session"]
    return Filter(status=status and status.value, **given)
