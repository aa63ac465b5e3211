"""`aibridged usage`: token usage in total."""

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen
from aibridged.cli.query_options import (
    NARROW,
    Output,
    OutputFlag,
    cut_to_limit,
    one_more,
    takes_filter,
    write,
)

if TYPE_CHECKING:
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Usage


class By(StrEnum):
    """What totals are grouped by."""

    USER = "user"
    MODEL = "model"
    PROVIDER = "provider"
    CLIENT = "client"
    DAY = "day"


def _usage(
    query: "Query",
    wanted: "Filter",
    by: Annotated[
        By, typer.Option(metavar="BY", help="Group by user, model, provider, client or day.")
    ] = By.USER,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Show token usage by user, model, provider, client or day.

    Users and days have the number of requests that were refused for what a person may do, or how
    much: a limit, or a policy. Those are counted by whole days.

    The last row of a table is the total of all that matches, also where the list stops at its
    limit.
    """
    from aibridged.records.query_results import UsageBy

    view = chosen(_columns(by), wide, columns, output=output)
    found, total = query.usage_and_total(UsageBy(by.value), one_more(wanted))
    totals, more = cut_to_limit(found, wanted, NARROW)
    write(totals, output, view, nothing="No usage recorded.", more=more, total=total)


usage = takes_filter(_usage)
usage.__name__ = "usage"


def _columns(by: By) -> "tuple[Column[Usage], ...]":
    refused = (_count("refused", "REFUSED"),) if by in (By.USER, By.DAY) else ()
    return (
        Column(by.value, attrgetter("key"), cut=True),
        _count("interceptions", "REQUESTS"),
        _count("input_tokens", "INPUT"),
        _count("cache_read_input_tokens", "CACHED"),
        _count("cache_write_input_tokens", "CACHE WRITE"),
        _count("output_tokens", "OUTPUT"),
        Column("cached_share", attrgetter("cached_share"), "HIT", Kind.SHARE),
        *refused,
    )


def _count(name: str, heading: str) -> "Column[Usage]":
    return Column(name, attrgetter(name), heading, Kind.COUNT)
