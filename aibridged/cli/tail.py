"""`aibridged tail`: interceptions as they end."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from aibridged.cli.columns import ColumnsFlag, Layout, WideFlag, chosen
from aibridged.cli.interceptions import COLUMNS, TOKENS
from aibridged.cli.query_options import MinCostFlag, as_json, costing, moment, takes_filter
from aibridged.cli.table import terminal_width

if TYPE_CHECKING:
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Interception

_EVERY_S = 0.5
# A start may be committed a little after a later one.
_LATE = timedelta(seconds=10)

_SHOWN = {
    "id",
    "ended_at",
    "user",
    "model",
    "status",
    "took",
    "tokens_in",
    "output_tokens",
    "cost",
    "reason",
}
_SPARE = ("id", "tokens_in")
_COLUMNS = tuple(
    replace(column, is_shown=column.name in _SHOWN, spare=column.name in _SPARE)
    for column in COLUMNS
)


class Form(StrEnum):
    """Output format of a line."""

    TABLE = "table"
    JSONL = "jsonl"


def _tail(
    query: "Query",
    wanted: "Filter",
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Start of the time range: 10m ago, or a time; 0 is now."),
    ] = "0",
    min_cost: MinCostFlag = None,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: Annotated[
        Form, typer.Option("--output", "-o", metavar="table|jsonl", help="Output format.")
    ] = Form.TABLE,
) -> None:
    """Show interceptions as they end, until Ctrl-C. Times are in UTC.

    Below a failed one is why. Narrow terminals leave out the ID and the input tokens.
    """
    view = chosen(_COLUMNS, wide, columns, output=output)
    if wanted.status == "open":
        raise typer.BadParameter(
            "only interceptions that have ended are shown.", param_hint="--status"
        )
    wanted = costing(wanted, min_cost)
    asked = _Asked(query, wanted, with_texts=output is Form.JSONL)
    found = _follow(asked, moment(since, "--since"), threading.Event().wait)
    try:
        if output is Form.JSONL:
            for each in found:
                typer.echo(as_json(each, indent=None))
            return
        layout = Layout(view, [_typical()], None if wide else terminal_width())
        typer.echo(layout.heading)
        for each in found:
            typer.echo("\n".join(layout.lines(each)))
    except KeyboardInterrupt:
        raise typer.Exit() from None


tail = takes_filter(_tail, without=("started_after", "started_before", "limit"))
tail.__name__ = "tail"


def _typical() -> "Interception":
    """An interception that takes as much room as most: the rows to come are unknown."""
    from aibridged.core.money import NanoDollars
    from aibridged.core.prices import DOLLAR
    from aibridged.records.query_results import Interception

    return Interception(
        id="0" * 36,
        initiator_id="",
        username="x" * 12,
        api_key_id=None,
        provider="",
        provider_name="x" * 9,
        model="x" * 26,
        client="x" * 11,
        user_agent=None,
        client_session_id=None,
        session_id="0" * 36,
        credential_kind="",
        credential_hint="",
        thread_parent_id=None,
        thread_root_id=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        ended_at=datetime(2026, 1, 1, 0, 10, tzinfo=UTC),
        status_code=200,
        outcome="client_closed",
        usage_partial=None,
        time_to_first_byte_ms=None,
        error_type=None,
        error_source=None,
        error_code=None,
        error_message=None,
        metadata=None,
        cost=NanoDollars(100 * DOLLAR),
        cost_label="estimated",
        token_usages=[dict.fromkeys(TOKENS, 100_000)],
    )


class _Asked(NamedTuple):
    """What is asked for."""

    query: "Query"
    wanted: "Filter"
    with_texts: bool


def _follow(
    asked: _Asked, since: datetime, pause: Callable[[float], object]
) -> "Iterator[Interception]":
    """Each interception that is wanted and started since then, once, when it has ended."""
    import msgspec

    # How it ends, and what it costs, isn't known while it is open.
    outcome, least = asked.wanted.status, asked.wanted.min_cost
    wanted = msgspec.structs.replace(asked.wanted, status=None, min_cost=None)
    for each in _ended(asked._replace(wanted=wanted), since, pause):
        is_dear = least is None or (each.cost is not None and each.cost >= least)
        if is_dear and outcome in (None, each.outcome):
            yield each


def _ended(
    asked: _Asked, since: datetime, pause: Callable[[float], object]
) -> "Iterator[Interception]":
    import msgspec

    query, wanted, with_texts = asked
    known: dict[str, datetime] = {}
    waiting: set[str] = set()
    while True:
        started = msgspec.structs.replace(wanted, started_after=since, oldest_first=True)
        for each in _pages(asked._replace(wanted=started)):
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
            still_open = msgspec.structs.replace(wanted, status="open")
            ended = waiting - {
                each.id for each in _pages(asked._replace(wanted=still_open, with_texts=False))
            }
            waiting -= ended
            # None is one that retention has deleted.
            found = (query.preview(id, wanted, with_texts=with_texts) for id in ended)
            yield from sorted(filter(None, found), key=lambda each: (each.ended_at, each.id))
        pause(_EVERY_S)


def _pages(asked: _Asked) -> "Iterator[Interception]":
    """All matching interceptions, page by page."""
    import msgspec

    from aibridged.records.query import MAX_LIMIT

    wanted = msgspec.structs.replace(asked.wanted, limit=MAX_LIMIT)
    while True:
        page = list(asked.query.interceptions(wanted, with_texts=asked.with_texts))
        yield from page
        if len(page) < MAX_LIMIT:
            return
        wanted = msgspec.structs.replace(wanted, after_id=page[-1].id)
