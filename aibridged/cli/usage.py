"""`aibridged usage`: token usage in total."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.query_options import NARROW, Output, OutputFlag, takes_filter, up_to_limit, write

if TYPE_CHECKING:
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter, Usage


_NUMBERS = (
    "interceptions",
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "cached_share",
)


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
    output: OutputFlag = Output.TABLE,
) -> None:
    """Show token usage by user, model, provider, client or day."""
    from aibridged.records.query_results import UsageBy

    headings = (by.value.upper(), "REQUESTS", "INPUT", "CACHE READ", "CACHE WRITE", "OUTPUT", "HIT")
    totals, more = up_to_limit(partial(query.usage, UsageBy(by.value)), wanted, NARROW)
    columns: dict[str, Callable[[Usage], object]] = {
        by.value: attrgetter("key"),
        **{name: attrgetter(name) for name in _NUMBERS},
    }
    write(
        totals,
        output,
        headings,
        _cells,
        columns=columns,
        cut=headings[:1],
        nothing="No usage recorded.",
        more=more,
    )


usage = takes_filter(_usage)
usage.__name__ = "usage"


def _cells(each: "Usage") -> tuple[str, ...]:
    return (
        each.key,
        str(each.interceptions),
        str(each.input_tokens),
        str(each.cache_read_input_tokens),
        str(each.cache_write_input_tokens),
        str(each.output_tokens),
        "-" if each.cached_share is None else f"{each.cached_share:.0%}",
    )
