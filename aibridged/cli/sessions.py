"""`aibridged sessions`: lists and shows recorded sessions, for people to read."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.cli import cells
from aibridged.cli.cells import duration, printable, short, time
from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.interceptions import TOKENS, cost, reason, seconds, status, user
from aibridged.cli.query_options import (
    NARROW,
    SEARCH_S,
    WHOLE,
    ErrorFlag,
    MinCostFlag,
    Output,
    OutputFlag,
    TextFlag,
    ToolFlag,
    costing,
    json_list,
    none_found,
    searched,
    searching,
    takes_filter,
    takes_query,
    up_to_limit,
    write,
)
from aibridged.cli.table import WIDTH, terminal_width, wrapped
from aibridged.counted import counted, noun

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.core.prices import Priced
    from aibridged.prices.book import PriceBook
    from aibridged.records.cache_breaks import Broken
    from aibridged.records.cost_sums import Cost
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Interception, Row, Session
    from aibridged.records.recorded_usage import Price

    _Noted = tuple[Interception, Broken | None]


def _tokens_in(each: "Session") -> int:
    return sum(getattr(each, name) for name in TOKENS[:-1])


def _short_models(each: "Session") -> str:
    first, *others = each.models
    return f"{first} +{len(others)}" if others else first


def _usual_cost(each: "Session") -> tuple[int | None, str | None]:
    return each.usual_cost, None if each.usual_cost is None else "exact"


def _mark(each: "Session") -> str:
    """What it says below a session that costs more than usual."""
    if not each.unusual:
        return ""
    return f"! unusual: most sessions of {user(each)} cost {cells.cost(*_usual_cost(each))} or less"


COLUMNS: "tuple[Column[Session], ...]" = (
    Column("session_id", attrgetter("session_id"), "SESSION", Kind.ID),
    Column("initiator_id", attrgetter("initiator_id"), is_shown=False),
    Column("user", user, in_csv=False, cut=True),
    Column("username", attrgetter("username"), is_shown=False),
    Column("client", attrgetter("client"), cut=True),
    Column("models", attrgetter("models"), cut=True, spare=True, short=_short_models),
    Column("started_at", attrgetter("started_at"), "STARTED", Kind.TIME, is_shown=False),
    Column("last_at", attrgetter("last_at"), "LAST", Kind.TIME),
    Column("interceptions", attrgetter("interceptions"), "N", Kind.COUNT),
    *(Column(name, attrgetter(name), kind=Kind.COUNT, is_shown=False) for name in TOKENS[:-1]),
    Column("tokens_in", _tokens_in, "IN", Kind.COUNT, in_csv=False, spare=True),
    Column("output_tokens", attrgetter("output_tokens"), "OUT", Kind.COUNT),
    Column("cost", cost, kind=Kind.COST),
    Column("cost_label", attrgetter("cost_label"), is_shown=False),
    Column("unusual", attrgetter("unusual"), is_shown=False),
    Column("usual_cost", _usual_cost, kind=Kind.COST, is_shown=False),
    Column("mark", _mark, in_csv=False, below=True),
    Column("first_prompt", attrgetter("first_prompt"), below=True, cut=True),
)
_MAX_LINES = 12
_PAGE = 50
_IN_ORDER = 10_000  # ids that are found at once


class ShownAs(StrEnum):
    """Output format of a session."""

    TEXT = "text"
    JSON = "json"


def sessions() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="sessions", no_args_is_help=True, help="Show recorded sessions.")
    group.command("list")(takes_filter(_list))
    group.command("show")(takes_query(_show, ("prices", "unpriced")))
    return group


def _list(
    query: "Query",
    wanted: "Filter",
    min_cost: MinCostFlag = None,
    text: TextFlag = None,
    tool: ToolFlag = None,
    error: ErrorFlag = None,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """List sessions, most recently used first, each with its first prompt. Times are in UTC.

    One that costs more than $1 and more than 95 % of that user's sessions of 30 days is marked.
    In narrow terminals ids and times are short; the beginning of an id can be typed wherever an id
    can.
    """
    view = chosen(COLUMNS, wide, columns, output=output)
    with_texts = output in WHOLE or any(column.name == "first_prompt" for column in view.columns)
    wanted = searching(costing(wanted, min_cost), text=text, tool=tool, error=error)
    search = query.search(SEARCH_S)
    find = partial(query.sessions, with_texts=with_texts, search=search)
    found, more = up_to_limit(find, wanted, NARROW)
    more = searched(search, more)
    write(found, output, view, nothing="No session matches.", more=more)


def _show(
    query: "Query",
    settings: "Settings",
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION",
            help="An id from `sessions list`, or its first 8 characters or more.",
        ),
    ],
    full: Annotated[bool, typer.Option("--full", help="Show long texts in full.")] = False,
    output: Annotated[
        ShownAs,
        typer.Option(
            "--output",
            "-o",
            metavar="text|json",
            help="Output format; json includes full interceptions.",
        ),
    ] = ShownAs.TEXT,
) -> None:
    """Show a session thread by thread: prompts, thoughts, tool calls, tokens and costs."""
    from aibridged.records.query_results import Filter

    id = query.session_id(session)
    if id is None:
        none_found("session", session, "sessions")
    # One for each user who has a session with this id.
    sessions = list(query.sessions(Filter(session=id), with_texts=False))
    found = _interceptions(query, id)
    if output is ShownAs.JSON:
        lines = json_list(found)
    else:
        costs = {
            thread: each for one in sessions for thread, each in query.thread_costs(one).items()
        }
        noted = _noted(query.priced_by(_pricing(settings)), found)
        lines = _story(sessions, noted, costs, None if full else _MAX_LINES)
    for line in lines:
        typer.echo(line)


def _interceptions(query: "Query", session: str) -> "Iterator[Interception]":
    """All interceptions of a session, one page at a time in memory.

    None is being read while they are printed: a pager may stop that for hours, and an open read
    keeps SQLite's WAL from being emptied.
    """
    after_id = None
    while ids := query.session_ids(session, after_id=after_id, limit=_IN_ORDER):
        for start in range(0, len(ids), _PAGE):
            yield from [
                each.collected() for each in query.each_of(session, ids[start : start + _PAGE])
            ]
        after_id = ids[-1]


def _noted(query: "Query", found: "Iterator[Interception]") -> "Iterator[_Noted]":
    """Each with what broke the prompt cache there, if anything."""
    from aibridged.records.cache_breaks import find_notes

    while few := list(islice(found, _PAGE)):
        with query.reading() as connection:
            notes = find_notes(connection, [each.id for each in few], query.price)
        for each in few:
            note = notes.get(each.id)
            yield each, None if note is None else note.broken


def _pricing(settings: "Settings") -> "Price":
    """Prices usages by the present table, which is read once there is something to price."""

    @cache
    def book() -> "PriceBook":
        from aibridged.prices.pricing import book_of
        from aibridged.prices.table import current_table

        return book_of(settings, current_table(settings.state_dir)[0])

    def price(*arguments: Any) -> "Priced":
        from aibridged.prices import pricing

        return pricing.price(book(), *arguments)

    return price


def _story(
    sessions: "Sequence[Session]",
    found: "Iterator[_Noted]",
    costs: "Mapping[str, Cost]",
    most: int | None,
) -> Iterator[str]:
    from aibridged.records import cost_sums

    began = min(sessions, key=attrgetter("started_at"))
    who = ", ".join(sorted(set(map(user, sessions))))
    yield printable(f"Session {began.session_id}")
    yield from _text("", f"{who}, {began.client}, from {time(began.started_at)} UTC", None)
    tokens = _tokens({name: sum(map(attrgetter(name), sessions)) for name in TOKENS})
    total = cost_sums.NOTHING
    for one in sessions:
        total = cost_sums.added(total, *cost(one))
    yield f"{tokens}{_cost(total)}"
    threads = groupby(found, key=lambda each: each[0].thread_root_id or each[0].id)
    for number, (id, thread) in enumerate(threads, 1):
        yield ""
        yield f"Thread {number}{_cost(costs.get(id, cost_sums.NOTHING))}"
        for each, broken in thread:
            yield from _turn(each, broken, most)


def _turn(each: "Interception", broken: "Broken | None", most: int | None) -> Iterator[str]:
    took = duration(seconds(each)) or "…"
    purpose = (each.metadata or {}).get("purpose")
    what = f"{each.model}  ({purpose})" if purpose else each.model
    head = f"{each.started_at:%H:%M:%S}  {what}  {status(each)}  {took}"
    used = _tokens({name: each.tokens(name) for name in TOKENS}) + _cost(cost(each))
    yield from _text("  ", f"{head}  {used}", None)
    if each.texts_withheld:
        yield from _text("    ", each.texts_withheld, None)
    if why := reason(each):
        yield from _text("    ! ", why, most)
    if broken is not None:
        yield from _text("    * ", _lost(broken), most)
    for prompt in each.user_prompts:
        yield from _text("    > ", prompt["prompt"], most)
        yield from _cut(each, prompt, "prompt")
    for thought in each.model_thoughts:
        yield from _text("    ~ ", thought["content"] or "(redacted)", most)
        yield from _cut(each, thought, "content")
    for call in each.tool_usages:
        yield from _text("    $ ", f"{call['tool']} {call['input']}", most)
        yield from _cut(each, call, "input")
        if call["injected"]:
            error = call["invocation_error"]
            came_of_it = f"failed: {error}" if error else "done"
            yield from _text("      ", f"(run by the gateway, {came_of_it})", most)
            yield from _cut(each, call, "invocation_error", "error_")


def _lost(broken: "Broken") -> str:
    """What was lost of the prompt cache, and why."""
    from aibridged.core.cache_breaks import sentence

    found = broken.found
    lost = f"{short(found.lost_tokens)} cached tokens lost{_cost((broken.cost, broken.cost_label))}"
    return f"{lost}: {sentence(found.cause, found.seconds, found.difference)}"


def _cut(each: "Interception", row: "Row", text: str, mark: str = "") -> Iterator[str]:
    """A line that says that a text, which isn't withheld, was too long to be stored in full."""
    metadata = row["metadata"] or {}
    if metadata.get(f"{mark}cut") and not each.texts_withheld:
        stored, whole = len(row[text].encode()), metadata[f"{mark}length"]
        yield f"      (cut: the first {stored} of {counted(whole, 'byte')} are stored)"


def _text(mark: str, text: str, most: int | None) -> Iterator[str]:
    """The text wrapped after its marker; at most `most` lines of it."""
    room = (terminal_width() or WIDTH) - len(mark)
    lines = [part for line in text.splitlines() for part in wrapped(printable(line), room) or [""]]
    shown = lines if most is None or len(lines) <= most else lines[:most]
    for number, line in enumerate(shown):
        yield (mark if number == 0 else " " * len(mark)) + line
    if len(shown) < len(lines):
        yield f"{' ' * len(mark)}… {counted(len(lines) - len(shown), 'more line')} (--full)"


def _cost(known: "tuple[int | None, str | None]") -> str:
    """What goes behind the tokens: nothing, where there is no cost."""
    amount, label = known
    return "" if label is None else f", {cells.cost(amount, label)}"


def _tokens(counts: "Mapping[str, int]") -> str:
    read, out = counts["cache_read_input_tokens"], counts["output_tokens"]
    given = sum(counts.values()) - out
    cached = f" ({read / given:.0%} cached)" if read else ""
    return f"{short(given)} {noun(given, 'token')} in{cached}, {short(out)} out"
