"""Usage in total, tokens and what they cost, and refusals, by what they are grouped by."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from aibridged.core.money import NanoDollars
from aibridged.core.prices import Label
from aibridged.records.extent import record_begins, record_ends
from aibridged.records.filters import group_members, groups, resolved
from aibridged.records.query_results import Filter, Usage, UsageBy
from aibridged.records.schema import TOKEN_COUNTS
from aibridged.records.usage_parts import INITIATOR, INTERCEPTIONS, NONE, TIMES, Parts, key_of
from aibridged.records.usage_refusals import counts_refusals, refused
from aibridged.records.usage_sums import SUMS

_MORE = 4
"""If a time has too few totals for a page, so many times as much is looked at."""
_TOKENS = "tokens"
_SORTED_BY: Mapping[str | None, Sequence[str]] = {
    "cost": ("cost_nanos", "priced"),
    "cached_share": TOKEN_COUNTS,
}
OVERLAPPING = (UsageBy.MODEL, UsageBy.GROUP)
"""In which an interception may count more than once."""
_TOTAL = "TOTAL"
COUNTS = (*INTERCEPTIONS, *SUMS, "refused")
_STREAMED_ROWS = 1000  # in memory at once


def find_usage(
    connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter, sort: str | None = None
) -> tuple[list[Usage], Usage]:
    """Totals of each, in order, and their sum.

    The sum is of those behind the limit as well. An interception that used several models counts
    for each of them, and one of a person in several groups for each of these; in the sum, it counts
    once. `sort` is a dimension, or the name of a number of a `Usage`; by default those with the
    most tokens are first, and times newest first.
    """
    with_refusals = counts_refusals(by, wanted)
    find = _newest if by and by[0] in TIMES and sort in (None, by[0]) else _first
    totals = find(connection, by, wanted, with_refusals, sort)
    if not by and totals:
        return totals, totals[0]
    # Longer spans tell it than tell what is asked by day, and each interception counts once.
    [whole] = _first(connection, [], replace(wanted, limit=1), with_refusals)
    return totals, whole


def _first(
    connection: sa.Connection,
    by: Sequence[UsageBy],
    wanted: Filter,
    with_refusals: bool,
    sort: str | None = None,
) -> list[Usage]:
    """The page of those that are first."""
    parts = Parts(connection, by, resolved(connection, wanted))
    among = None
    if len(by) > 1 and not TIMES.keys().isdisjoint(by):
        # They are many, of which a page has few: PostgreSQL would sum up all of them on disk.
        numbers = (_TOKENS, *_SORTED_BY.get(sort, (sort,) if sort in COUNTS else ()))
        found = summed(parts, by, wanted, numbers, with_refusals=with_refusals).subquery()
        keys = sa.select(*(found.c[each.value] for each in by))
        among = keys.order_by(*_order(found, by, sort)).limit(wanted.limit)
    found = summed(parts, by, wanted, with_refusals=with_refusals, among=among).subquery()
    statement = sa.select(found).order_by(*_order(found, by, sort)).limit(wanted.limit)
    return [_of_row(row, by, with_refusals) for row in connection.execute(statement)]


def _newest(
    connection: sa.Connection,
    by: Sequence[UsageBy],
    wanted: Filter,
    with_refusals: bool,
    sort: str | None,
) -> list[Usage]:
    """The same, whose order begins with the time, by walking back until the page is full."""
    begins, ends = (find(connection, wanted.owner) for find in (record_begins, record_ends))
    if begins is not None and ends is not None:
        ends = min(ends, wanted.started_before or ends)
        begins = max(begins, wanted.started_after or begins)
        span, steps = TIMES[by[0]], wanted.limit
        while steps < (ends - begins) // span.longest:
            # Not before `begins`: at least a whole one is left out.
            since = span.of((ends - steps * span.longest).astimezone(UTC))
            page = _first(connection, by, replace(wanted, started_after=since), with_refusals, sort)
            if len(page) == wanted.limit:
                return page
            steps *= _MORE
    return _first(connection, by, wanted, with_refusals, sort)


def stream_usage(
    connection: sa.Connection, by: Sequence[UsageBy], wanted: Filter
) -> Iterator[Usage]:
    """All totals, in the same order, a few at a time in memory, without their sum."""
    is_refused_known = counts_refusals(by, wanted)
    parts = Parts(connection, by, resolved(connection, wanted))
    found = summed(parts, by, wanted, with_refusals=is_refused_known).subquery()
    statement = sa.select(found).order_by(*_order(found, by, None))
    streaming = connection.execution_options(yield_per=_STREAMED_ROWS)
    for row in streaming.execute(statement):
        yield _of_row(row, by, is_refused_known)


def _order(
    found: sa.Subquery, by: Sequence[UsageBy], sort: str | None
) -> Iterator[sa.ColumnElement[Any]]:
    if sort is None:
        if by and by[0] in TIMES:
            yield _in_order(found, by[0])
    elif sort in by:
        yield _in_order(found, UsageBy(sort))
    else:
        yield _number(found, sort).desc().nulls_last()
    counts = (_TOKENS,) if _TOKENS in found.c else TOKEN_COUNTS
    yield sum((found.c[name] for name in counts), sa.literal(0)).desc()
    yield from (_in_order(found, each) for each in by)


def _in_order(found: sa.Subquery, by: UsageBy) -> sa.ColumnElement[Any]:
    column = found.c[by.value]
    return column.desc() if by in TIMES else column.asc()


def _number(found: sa.Subquery, name: str) -> sa.ColumnElement[Any]:
    if name == "cost":
        return sa.case((found.c.priced > 0, found.c.cost_nanos))
    if name != "cached_share":
        return found.c[name]
    read = found.c.cache_read_input_tokens
    given = found.c.input_tokens + read + found.c.cache_write_input_tokens
    return read * sa.literal(1.0) / sa.func.nullif(given, 0)


def summed(
    parts: Parts,
    by: Sequence[UsageBy],
    wanted: Filter,
    numbers: Sequence[str] = COUNTS,
    *,
    with_refusals: bool = False,
    among: sa.Select[Any] | None = None,
    apart: Sequence[str] | None = None,
) -> sa.Select[Any]:
    """The sums of all parts together: with refusals, of people without a record, too.

    `numbers` are some of `COUNTS`, or the sum of the tokens, and `among` selects the keys that are
    wanted, all by default. Of the last dimension the values `apart` are told apart, and the others
    together are None; by default all are.
    """
    selects = [each.add_columns(sa.literal(0).label("refused")) for each in parts.each()]
    if with_refusals:
        selects.append(refused(by, wanted))
    rows = sa.union_all(*selects).subquery()
    source: sa.FromClause = rows
    if UsageBy.GROUP in by:
        member = group_members.c
        source = rows.outerjoin(group_members, member.user_id == rows.c[INITIATOR]).outerjoin(
            groups, groups.c.id == member.group_id
        )
    group = sa.func.coalesce(groups.c.name, NONE)
    keys = [group if each is UsageBy.GROUP else rows.c[key_of(each)] for each in by]
    named = [key.label(each.value) for key, each in zip(keys, by, strict=True)]
    if apart is not None:
        named[-1] = sa.case((keys[-1].in_(apart), keys[-1])).label(by[-1].value)
        rows = sa.select(*named, *(rows.c[name] for name in COUNTS)).select_from(source).subquery()
        source, keys = rows, [rows.c[each.value] for each in by]
        named = [key.label(each.value) for key, each in zip(keys, by, strict=True)]
    tokens = sum((rows.c[name] for name in TOKEN_COUNTS), sa.literal_column("0"))
    each = {name: tokens if name == _TOKENS else rows.c[name] for name in numbers}
    sums = (sa.func.coalesce(sa.func.sum(of), 0).label(name) for name, of in each.items())
    found = sa.select(*named, *sums).select_from(source).group_by(*keys)
    return found if among is None else found.where(sa.tuple_(*keys).in_(among))


def _of_row(row: sa.Row[Any], by: Sequence[UsageBy], is_refused_known: bool) -> Usage:
    values = row._mapping
    keys = {each.value: str(values[each.value]) for each in by}
    return made(keys, {name: int(values[name]) for name in COUNTS}, is_refused_known)


def made(by: Mapping[str, str], counts: Mapping[str, int], is_refused_known: bool = False) -> Usage:
    """The totals of `COUNTS`."""
    read = counts["cache_read_input_tokens"]
    given = counts["input_tokens"] + read + counts["cache_write_input_tokens"]
    return Usage(
        key=", ".join(by.values()) or _TOTAL,
        by=dict(by),
        interceptions=counts["interceptions"],
        failed=counts["failed"],
        **{name: counts[name] for name in TOKEN_COUNTS},
        cached_share=read / given if given else None,
        cost=NanoDollars(counts["cost_nanos"]) if counts["priced"] else None,
        cost_label=_label(counts),
        refused=counts["refused"] if is_refused_known else None,
    )


def _label(counts: Mapping[str, int]) -> Label | None:
    """The label of a sum: what has no cost doesn't change it."""
    if counts["unpriced"]:
        return Label.UNPRICED
    if counts["estimated"]:
        return Label.ESTIMATED
    return Label.EXACT if counts["priced"] else None
