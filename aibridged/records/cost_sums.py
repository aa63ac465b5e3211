"""Sums of the costs of interceptions, with the labels that they have together."""

from typing import Any

import sqlalchemy as sa

from aibridged.core.money import NanoDollars
from aibridged.core.prices import Label

_RANKS = (Label.EXACT, Label.ESTIMATED, Label.UNPRICED)  # the last one that there is, is the sum's

Cost = tuple[NanoDollars | None, str | None]
"""An amount and its label. Without a label nothing has a cost, and without an amount no price."""

NOTHING: Cost = (None, None)


def sums(columns: Any) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """The two columns of a sum, which `of_row` reads.

    What isn't priced isn't in the amount, and makes the label `unpriced`. What has no cost (an open
    interception, one that was cut off, one that an earlier release recorded) changes neither.
    """
    rank = sa.case(
        *(
            (columns.cost_label == sa.literal_column(f"'{label}'"), sa.literal_column(str(rank)))
            for rank, label in enumerate(_RANKS)
        )
    )
    return sa.func.sum(columns.cost_nanos).label("cost_sum"), sa.func.max(rank).label("cost_rank")


def of_row(row: sa.Row[Any]) -> Cost:
    """The sum that a row has in the columns of `sums`."""
    amount, rank = row.cost_sum, row.cost_rank
    return (
        None if amount is None else NanoDollars(amount),
        None if rank is None else _RANKS[rank].value,
    )


def added(sum: Cost, cost: int | None, label: str | None) -> Cost:
    """A sum and one more cost, which may be none."""
    if label is None:
        return sum
    amount = sum[0] if cost is None else NanoDollars((sum[0] or 0) + cost)
    return amount, max(Label(sum[1] or Label.EXACT), Label(label), key=_RANKS.index).value
