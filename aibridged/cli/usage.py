"""`aibridged usage`: token usage and costs in total."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.cells import printable
from aibridged.cli.columns import Column, ColumnsFlag, Kind, WideFlag, chosen, named
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
    from aibridged.records.query_results import Filter, Usage, UsageBy

DIMENSIONS = (
    "user",
    "group",
    "model",
    "provider",
    "key",
    "client",
    "session",
    "token",
    "month",
    "day",
    "hour",
)
"""What totals can be grouped by."""

_REFUSED_BY = {"user", "month", "day"}

ByFlag = Annotated[
    str,
    typer.Option(
        metavar="BY,...",
        help=f"Group by {', '.join(DIMENSIONS[:-1])} or {DIMENSIONS[-1]}, or by several of them.",
        autocompletion=lambda: list(DIMENSIONS),
    ),
]

GroupFlag = Annotated[
    str | None, typer.Option(metavar="GROUP", help="The group that the user is in now.")
]
KeyFlag = Annotated[
    str | None, typer.Option(metavar="HINT", help="The hint of the provider's key: sk-a...bc.")
]


def _usage(
    query: "Query",
    wanted: "Filter",
    by: ByFlag = "user",
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column to sort by: the greatest number, the first name or the last time on top.",
        ),
    ] = None,
    group: GroupFlag = None,
    key: KeyFlag = None,
    wide: WideFlag = False,
    columns: ColumnsFlag = None,
    output: OutputFlag = Output.TABLE,
) -> None:
    """Show token usage and costs by user, model, day and more.

    With several dimensions, separated by commas, there is a row for each combination, such as a
    user's tokens by model. Those with the most tokens are first, or the newest where the first one
    is a time. Groups are those that people are in now: one in several counts in each of them, and
    in the total once.

    A cost with ~ is an estimate, one with + lacks tokens without a price.

    Users, months and days have the number of requests that were refused for what a person may do,
    or how much: a limit, or a policy. Those are counted by whole days.

    The last row of a table is the total of all that matches, also where the list stops at its
    limit.
    """
    dimensions = parsed_dimensions(by)
    own = _columns(dimensions)
    view = chosen(own, wide, columns, output=output)
    order = None if sort is None else named(own, sort, "--sort").name
    wanted = of_group_and_key(wanted, group, key)
    found, total = query.usage_and_total(dimensions, one_more(wanted), order)
    totals, more = cut_to_limit(found, wanted, NARROW)
    write(totals, output, view, nothing="No usage recorded.", more=more, total=total)


usage = takes_filter(_usage)
usage.__name__ = "usage"


def of_group_and_key(wanted: "Filter", group: str | None, key: str | None) -> "Filter":
    """The filter with what `--group` and `--key` say."""
    import msgspec

    return msgspec.structs.replace(wanted, group=group, key=key)


def parsed_dimensions(text: str) -> "list[UsageBy]":
    """The dimensions of `--by`.

    Raises:
        typer.BadParameter: one is unknown, or named twice.
    """
    from aibridged.records.query_results import UsageBy

    names = [name.strip().lower() for name in text.split(",")]
    for number, name in enumerate(names):
        if name not in DIMENSIONS:
            raise typer.BadParameter(
                f"usage isn't counted by {printable(name)!r}: use some of "
                f"{', '.join(DIMENSIONS)}, separated by commas.",
                param_hint="--by",
            )
        if name in names[:number]:
            raise typer.BadParameter(f"{name!r} is named twice: name each once.", param_hint="--by")
    return list(map(UsageBy, names))


def _columns(dimensions: "Sequence[UsageBy]") -> "tuple[Column[Usage], ...]":
    refused = (_count("refused", "REFUSED"),) if _REFUSED_BY.issuperset(dimensions) else ()
    first, *others = (each.value for each in dimensions)
    return (
        Column(first, lambda each: each.by.get(first, each.key), cut=True),
        *(Column(name, _value(name), cut=True) for name in others),
        _count("interceptions", "REQUESTS"),
        _count("input_tokens", "INPUT"),
        _count("cache_read_input_tokens", "CACHED", spare=True),
        _count("cache_write_input_tokens", "CACHE WRITE", spare=True),
        _count("output_tokens", "OUTPUT"),
        Column("cached_share", attrgetter("cached_share"), "HIT", Kind.SHARE, spare=True),
        Column("cost", lambda each: (each.cost, each.cost_label), kind=Kind.COST),
        Column("cost_label", attrgetter("cost_label"), is_shown=False),
        *refused,
    )


def _value(name: str) -> "Callable[[Usage], str]":
    return lambda each: each.by.get(name, "")


def _count(name: str, heading: str, *, spare: bool = False) -> "Column[Usage]":
    return Column(name, attrgetter(name), heading, Kind.COUNT, spare=spare)
