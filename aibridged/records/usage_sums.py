"""What usage is measured by: tokens, and what they cost, as sums over interceptions and usages.

The rows that are summed up are those of the interceptions joined with their token usages. A usage
has its own cost. An interception without any may have one, too: it failed, or broke off and was
estimated.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from aibridged.core.prices import Label
from aibridged.records.schema import TOKEN_COUNTS, interceptions, token_usages

_I, _T = interceptions.c, token_usages.c


def _literal(label: Label) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{label}'")


_no_usage = _T.id.is_(None)
_cost = sa.case((_no_usage, _I.cost_nanos), else_=_T.cost_nanos)
_label = sa.case((_no_usage, _I.cost_label), else_=_T.cost_label)

used_by: sa.ColumnElement[str] = sa.func.coalesce(_T.provider_model, _I.model)
"""The model whose tokens a row counts."""


def _sum(of: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(of), 0)


def _number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return _sum(sa.case((condition, 1), else_=0))


SUMS: Mapping[str, sa.ColumnElement[int]] = {
    **{name: _sum(_T[name]) for name in TOKEN_COUNTS},
    "cost_nanos": _sum(_cost),
    "priced": sa.func.count(_cost),
    "estimated": _number(_label == _literal(Label.ESTIMATED)),
    "unpriced": _number(_label == _literal(Label.UNPRICED)),
}
"""The sums by the names of their columns in `usage_hours`."""
