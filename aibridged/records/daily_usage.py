"""What the record has by day and model, with the reasons why a provider's figures may differ."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from aibridged.core.auth import CredentialKind
from aibridged.core.usage_figures import COST, REQUESTS, Recorded
from aibridged.records.filters import PARTS, conditions
from aibridged.records.query import Query
from aibridged.records.query_results import Filter
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages

MAX_ROWS = 500_000
"""Days, models, providers and kinds of credential together."""

_I, _T = interceptions.c, token_usages.c


class TooMuchUsageError(Exception):
    """The record has more days and models than can be compared."""


Place = tuple[date, str, str]
"""A day in UTC, the configured name of a provider, and a model."""


def usage_by_day(query: Query, wanted: Filter) -> dict[Place, Recorded]:
    """The figures of what matches, by day of its start in UTC.

    Raises:
        TooMuchUsageError: there are more than can be compared.
        QueryFailedError: it took too long, or the database is unavailable.
    """
    found: dict[Place, Recorded] = {}
    with query.reading() as connection:
        rows = connection.execute(_statement(wanted).limit(MAX_ROWS + 1)).all()
    if len(rows) > MAX_ROWS:
        raise TooMuchUsageError
    for row in rows:
        place = date.fromisoformat(row.day), row.provider_name, row.used
        if place not in found:
            found[place] = Recorded(figures={})
        _add(found[place], row)
    return found


def first_day(query: Query, wanted: Filter) -> date | None:
    """The day of the oldest interception that matches, in UTC; None where there is none."""
    with query.reading() as connection:
        parts = [
            sa.select(sa.func.min(_I.started_at)).where(part, *conditions(wanted)) for part in PARTS
        ]
        times = [at for part in parts if (at := connection.scalar(part)) is not None]
    return min(times).date() if times else None


def _add(recorded: Recorded, row: sa.Row[Any]) -> None:
    figures = {name: int(getattr(row, name)) for name in (REQUESTS, *TOKEN_COUNTS)}
    figures[COST] = int(row.cost)
    if row.credential_kind == CredentialKind.BYOK:
        recorded.byok = figures
        return
    recorded.figures = figures
    for name in ("partial", "silent", "unpriced", "uncosted", "estimated", "late"):
        setattr(recorded, name, int(getattr(row, name)))


def _statement(wanted: Filter) -> sa.Select[Any]:
    def number(text: str) -> sa.ColumnElement[int]:
        return sa.literal_column(text, sa.Integer)

    def day(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        return sa.func.substr(sa.cast(column, sa.Text), number("1"), number("10"))

    def requests(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.count(sa.distinct(sa.case((sa.and_(*conditions), _I.id))))

    # One request of a caller's may take several to the provider, each with a response's id.
    response = sa.func.coalesce(
        sa.func.nullif(_T.provider_response_id, ""), sa.cast(_T.interception_id, sa.Text)
    )
    keys = [
        day(_I.started_at).label("day"),
        _I.provider_name,
        sa.func.coalesce(_T.provider_model, _I.model).label("used"),
        _I.credential_kind,
    ]
    tokens = sum((_T[name] for name in TOKEN_COUNTS), sa.literal(0))
    is_late = day(_I.ended_at) != day(_I.started_at)
    has_usage, is_alone = _T.id.is_not(None), _T.id.is_(None)
    # Providers bill what a client doesn't wait for, but not what they refuse.
    was_answered = sa.or_(_I.outcome.in_(("client_closed", "interrupted")), _I.status_code < 400)
    label = sa.case((is_alone, _I.cost_label), else_=_T.cost_label)
    cost = sa.case((is_alone, _I.cost_nanos), else_=_T.cost_nanos)
    return (
        sa.select(
            *keys,
            sa.func.count(sa.distinct(response)).label(REQUESTS),
            *(sa.func.coalesce(sa.func.sum(_T[name]), 0).label(name) for name in TOKEN_COUNTS),
            sa.func.coalesce(sa.func.sum(cost), 0).label("cost"),
            requests(has_usage, _I.usage_partial).label("partial"),
            requests(is_alone, was_answered).label("silent"),
            requests(label == "unpriced").label("unpriced"),
            requests(has_usage, label.is_(None)).label("uncosted"),
            requests(label == "estimated").label("estimated"),
            sa.func.coalesce(sa.func.sum(sa.case((is_late, tokens), else_=0)), 0).label("late"),
        )
        .select_from(interceptions.outerjoin(token_usages))
        .where(*conditions(wanted))
        .group_by(*keys)
        .order_by(*keys)
    )
