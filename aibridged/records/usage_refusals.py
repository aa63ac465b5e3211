"""Refusals beside usage: they are counted by person and day, and have no model or provider."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.records.filters import PARTS
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.schema import interceptions, refusals
from aibridged.records.storable import storable
from aibridged.records.usage_parts import INTERCEPTIONS, month_of
from aibridged.records.usage_sums import SUMS

_I = interceptions.c
_users = sa.table("aibridged_users", sa.column("id"), sa.column("username"))
_REFUSED_BY: dict[UsageBy, sa.ColumnElement[Any]] = {
    UsageBy.USER: refusals.c.user_id,
    UsageBy.MONTH: month_of(refusals.c.day).label("month"),
    UsageBy.DAY: refusals.c.day,
}
_KEYS: dict[UsageBy, Callable[[Any], sa.ColumnElement[Any]]] = {
    UsageBy.USER: lambda of: _name_of(of.user_id),
    UsageBy.MONTH: lambda of: of.month,
    UsageBy.DAY: lambda of: sa.func.date(of.day, type_=sa.String),
}


class Refused(NamedTuple):
    """How often a person was refused something for a reason."""

    reason: str
    user: str
    number: int


def counts_refusals(by: Sequence[UsageBy], wanted: Filter) -> bool:
    """Whether it is known which refusals are meant."""
    others = (
        wanted.provider,
        wanted.provider_name,
        wanted.model,
        wanted.client,
        wanted.session,
        wanted.status,
        wanted.min_cost,
        wanted.group,
        wanted.key,
    )
    return set(by) <= set(_REFUSED_BY) and not any(each is not None for each in others)


def refused(by: Sequence[UsageBy], wanted: Filter) -> sa.Select[Any]:
    """Their numbers, and nothing else, in the columns of the parts of usage."""
    columns = [_REFUSED_BY[each] for each in by]
    count = sa.func.sum(refusals.c["count"]).label("refused")
    each = sa.select(*columns, count).where(*_of_persons(wanted)).group_by(*columns).subquery()
    names = [_KEYS[key](each.c).label(key.value) for key in by]
    zeros = [sa.literal(0).label(name) for name in (*INTERCEPTIONS, *SUMS)]
    return sa.select(*names, *zeros, each.c.refused)


def most_refused(
    connection: sa.Connection, wanted: Filter, limit: int
) -> tuple[Sequence[Refused], int]:
    """Who was refused most, by reason, and the number of all refusals; days are whole."""
    person, reason = refusals.c.user_id, refusals.c.reason
    count = sa.func.sum(refusals.c["count"]).label("number")
    each = sa.select(person, reason, count).where(*_of_persons(wanted)).group_by(person, reason)
    total = sa.func.sum(count).over().label("total")
    most = each.add_columns(total).order_by(count.desc(), person, reason).limit(limit).subquery()
    named = sa.select(most.c.reason, _name_of(most.c.user_id), most.c.number, most.c.total)
    rows = connection.execute(named.order_by(most.c.number.desc(), most.c.user_id)).all()
    found = [Refused(reason, user, int(number)) for reason, user, number, _ in rows]
    return found, int(rows[0].total) if rows else 0


def _name_of(person: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The name on the person's last record, else the user's, else the id."""
    last = (
        sa.select(_I.username)
        .where(_I.initiator_id == person, PARTS[0])
        .order_by(_I.started_at.desc())
        .limit(1)
    )
    user = sa.select(_users.c.username).where(_users.c.id == person)
    return sa.func.coalesce(last.scalar_subquery(), user.scalar_subquery(), person)


def _of_persons(wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
    person, day = refusals.c.user_id, refusals.c.day
    for id in (wanted.owner, wanted.initiator_id):
        if id is not None:
            yield person == storable(id)
    if wanted.username is not None:
        yield _name_of(person) == storable(wanted.username)
    if wanted.initiator is not None:
        initiator = storable(wanted.initiator)
        yield sa.or_(person == initiator, _name_of(person) == initiator)
    if wanted.started_after is not None:
        yield day >= wanted.started_after.date()
    if wanted.started_before is not None:
        yield day <= (wanted.started_before - timedelta(microseconds=1)).date()
