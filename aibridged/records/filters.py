"""Query filters as SQL conditions."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from aibridged.records.pruning_conditions import since_month, until_month
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions, not_completed
from aibridged.records.storable import storable

_I = interceptions.c

# Identity's tables.
groups = sa.table("aibridged_groups", sa.column("id"), sa.column("name"))
group_members = sa.table(
    "aibridged_group_members", sa.column("group_id"), sa.column("user_id", sa.String)
)

# Open interceptions are few, and have an index of their own; see `indexes`.
PARTS = (_I.ended_at.is_not(None), _I.ended_at.is_(None))


def parts_of(wanted: Filter) -> Sequence[sa.ColumnElement[bool]]:
    """The parts that what is wanted can be in: no ended one is open.

    SQLite would look at all of them for that.
    """
    return PARTS[1:] if wanted.status == "open" else PARTS


class _Filtered(FunctionElement[str]):
    """A text column by whose index SQLite isn't to look: it has no statistics to choose by."""

    inherit_cache = True
    type = sa.Text()


@compiles(_Filtered)
def _as_it_is(element: _Filtered, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


@compiles(_Filtered, "sqlite")
def _not_by_index(element: _Filtered, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def conditions(
    wanted: Filter, *, by_index: bool = True, of: Any = interceptions.c
) -> Iterator[sa.ColumnElement[bool]]:
    """The conditions of a filter, without its pagination, on the columns `of` the interceptions.

    Where another condition leaves few rows, their indexes shouldn't be used: databases that have no
    statistics choose by the form of a condition, and walk through all rows of a model.
    """

    def text(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
        return column if by_index else column.concat("")

    person = wanted.owner or wanted.initiator_id or wanted.username

    def beside(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
        # A person's are fewer than those of a model.
        return text(column) if person is None or not by_index else _Filtered(column)

    for id in (wanted.owner, wanted.initiator_id):
        if id is not None:
            yield text(of.initiator_id) == storable(id)
    if wanted.username is not None:
        yield text(of.username) == storable(wanted.username)
    if wanted.initiator is not None:
        initiator = storable(wanted.initiator)
        yield sa.or_(text(of.initiator_id) == initiator, of.username == initiator)
    if wanted.started_after is not None:
        yield of.started_at >= wanted.started_after
        yield since_month(of.id, wanted.started_after)
    if wanted.started_before is not None:
        yield of.started_at < wanted.started_before
        yield until_month(of.id, wanted.started_before)
    if wanted.provider is not None:
        provider = storable(wanted.provider)
        yield sa.or_(of.provider_name == provider, beside(of.provider) == provider)
    if wanted.group is not None:
        yield of.initiator_id.in_(members_of(wanted.group))
    if wanted.min_cost is not None:
        yield of.cost_nanos >= wanted.min_cost
    if wanted.status == "open":
        yield of.ended_at.is_(None)
    elif wanted.status is not None:
        yield beside(of.outcome) == wanted.status
        if wanted.status != "completed" and person is None:
            yield not_completed(of)  # those are few, and have an index of their own
    for value, name in (
        (wanted.provider_name, "provider_name"),
        (wanted.model, "model"),
        (wanted.client, "client"),
        (wanted.key, "credential_hint"),
        (wanted.session, "session_id"),
    ):
        if value is not None:
            column = of[name]
            yield (text if name == "session_id" else beside)(column) == storable(value)


def members_of(group: str) -> sa.Select[tuple[str]]:
    """The ids of those who are in a group now."""
    joined = group_members.join(groups, groups.c.id == group_members.c.group_id)
    members = sa.select(group_members.c.user_id).select_from(joined)
    return members.where(groups.c.name == storable(group))


def resolved(connection: sa.Connection, wanted: Filter) -> Filter:
    """The filter with an `initiator` that is known to be an id or a username, if it is one only.

    Each has an index, which finds the newest first. Databases use neither for "one or the other".
    """
    if wanted.initiator is None:
        return wanted
    initiator = storable(wanted.initiator)
    is_id, is_name = (
        connection.scalar(
            sa.select(sa.or_(*(sa.exists().where(part, column == initiator) for part in PARTS)))
        )
        for column in (_I.initiator_id, _I.username)
    )
    if is_id and is_name:
        return wanted
    known = {"username" if is_name else "initiator_id": wanted.initiator}
    return msgspec.structs.replace(wanted, initiator=None, **known)


def matching(*all_of: sa.ColumnElement[bool]) -> sa.Subquery:
    """The interceptions that match, as a union that can use every index."""
    return sa.union_all(
        *(sa.select(interceptions).where(part, *all_of) for part in PARTS)
    ).subquery()


def page_of(
    columns: Sequence[sa.ColumnElement[Any]],
    where: Sequence[sa.ColumnElement[bool]],
    order: Callable[[Any], Sequence[sa.ColumnElement[Any]]],
    limit: int,
    offset: int = 0,
    parts: Sequence[sa.ColumnElement[bool]] = PARTS,
) -> sa.Select[Any]:
    """Columns of the first interceptions in an `order` of theirs, each part found by an index."""
    found = [
        sa.select(*columns)
        .where(part, *where)
        .order_by(*order(interceptions.c))
        .limit(offset + limit)
        .subquery()
        for part in parts
    ]
    all_of_them = sa.union_all(*map(sa.select, found)).subquery()
    return sa.select(all_of_them).order_by(*order(all_of_them.c)).limit(limit).offset(offset)


def row_id(text: str) -> str | None:
    """The id in canonical form; None where the text isn't an id."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def thread_of(columns: Any) -> sa.ColumnElement[str]:
    """The id of the thread that an interception belongs to: its first interception's."""
    return sa.func.coalesce(columns.thread_root_id, columns.id)
