"""What usage is measured by: tokens, and what they cost, as sums over interceptions and usages.

The rows that are summed up are those of the interceptions joined with their token usages. A usage
has its own cost. An interception without any may have one, too: it failed, or broke off and was
estimated.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from aibridged.core.prices import Label
from aibridged.records.facts import Outcome
from aibridged.records.schema import COST_COUNTS, TOKEN_COUNTS, token_usages

_T = token_usages.c

SUMS = (*TOKEN_COUNTS, "cost_nanos", *COST_COUNTS)
"""The names of the sums, which are columns of `usage_hours`, too."""


def used_by(of: Any) -> sa.ColumnElement[str]:
    """The model whose tokens a row counts; `of` are the columns of the interceptions."""
    return sa.func.coalesce(_T.provider_model, of.model)


def has_failed(of: Any) -> sa.ColumnElement[bool]:
    """Whether an interception failed; `of` are columns with its outcome."""
    condition: sa.ColumnElement[bool] = of.outcome == sa.literal_column(f"'{Outcome.FAILED}'")
    return condition


def counted(of: Any, name: str) -> sa.ColumnElement[int]:
    """A number of a summary's rows, which are by outcome or tell those that `failed` apart.

    `of` are their columns.
    """
    if name in of:
        number: sa.ColumnElement[int] = of[name]
        return number
    return sa.case((has_failed(of), of[name.replace("failed", "interceptions")]), else_=0)


def sums(of: Any) -> Mapping[str, sa.ColumnElement[int]]:
    """The sums, by their names; `of` are the columns of the interceptions."""
    has_none = _T.id.is_(None)
    cost = sa.case((has_none, of.cost_nanos), else_=_T.cost_nanos)
    label = sa.case((has_none, of.cost_label), else_=_T.cost_label)
    return {
        **{name: _sum(_T[name]) for name in TOKEN_COUNTS},
        "cost_nanos": _sum(cost),
        "priced": sa.func.count(cost),
        "estimated": _number(label == _literal(Label.ESTIMATED)),
        "unpriced": _number(label == _literal(Label.UNPRICED)),
    }


def _literal(label: Label) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{label}'")


def _sum(of: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(of), 0)


def _number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return _sum(sa.case((condition, 1), else_=0))
