"""Figures of usage by day and model: the record's, and a provider's.

They are integers: requests, tokens by kind, and the cost in nano-dollars.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import msgspec

from aibridged.core.money import dollars, shown
from aibridged.core.prices import Label

REQUESTS, COST = "requests", "cost"
TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
)
METRICS = (REQUESTS, *TOKENS, COST)

Figures = Mapping[str, int]
"""Some of the metrics, by name."""
Key = tuple[date, str | None]
"""A day in UTC and a model, None for all of them together."""

_DATED = re.compile(r"(.+?)-(?:20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|latest)")


class Statement(msgspec.Struct, kw_only=True):
    """A provider's figures by day and model.

    `metrics` are those that it has. `other_tiers` are the figures that are of another tier than the
    standard one, and part of all; `apart` are costs that it ascribes to no model, by day.
    """

    metrics: frozenset[str]
    first: date
    last: date
    figures: dict[Key, dict[str, int]]
    other_tiers: dict[Key, dict[str, int]] = {}
    apart: dict[date, dict[str, int]] = {}

    @property
    def is_by_model(self) -> bool:
        return any(model is not None for _, model in self.figures)


class Recorded(msgspec.Struct, kw_only=True):
    """The record's figures of a day and model, without those with people's own keys (`byok`).

    The others are how many requests: `partial`, without all of their usage; `silent`, without any;
    `unpriced`; `uncosted`, from before costs were recorded; `estimated`. `late` are the tokens of
    those that ended on a later day. `own_rates` tells that the prices aren't the public ones.
    """

    figures: dict[str, int]
    byok: dict[str, int] = {}
    partial: int = 0
    silent: int = 0
    unpriced: int = 0
    uncosted: int = 0
    estimated: int = 0
    late: int = 0
    own_rates: bool = False

    @property
    def cost_label(self) -> Label:
        """How sure the cost is; unpriced where it lacks that of some requests."""
        if self.unpriced or self.uncosted:
            return Label.UNPRICED
        return Label.ESTIMATED if self.estimated else Label.EXACT


class Reason(NamedTuple):
    """Why figures may differ; `weight` (0 to 1) is how well it fits them."""

    code: str
    text: str
    weight: float


class Entry(msgspec.Struct, kw_only=True):
    """A day and model: both sides' figures, which of them differ, and why, likeliest first.

    `cost_label` is that of the record's cost.
    """

    day: date
    model: str | None
    record: dict[str, int]
    provider: dict[str, int]
    cost_label: Label = Label.EXACT
    differing: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def base_name(model: str) -> str:
    """The name without the date of its version, or `-latest`."""
    found = _DATED.fullmatch(model)
    return model if found is None else found[1]


def together(one: Recorded, other: Recorded) -> Recorded:
    """The sums of both."""
    return Recorded(
        figures=_sum(one.figures, other.figures),
        byok=_sum(one.byok, other.byok),
        partial=one.partial + other.partial,
        silent=one.silent + other.silent,
        unpriced=one.unpriced + other.unpriced,
        uncosted=one.uncosted + other.uncosted,
        estimated=one.estimated + other.estimated,
        late=one.late + other.late,
        own_rates=one.own_rates or other.own_rates,
    )


def _sum(one: Figures, other: Figures) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def as_text(metric: str, value: int, label: Label = Label.EXACT) -> str:
    """A figure for people; a cost with its label."""
    if metric != COST:
        return f"{value:,}"
    return shown(value, label, lacks_some=label is Label.UNPRICED)


def as_data(metric: str, value: int) -> int | str:
    """A figure in JSON: a cost is exact decimal text, in dollars."""
    return dollars(value) if metric == COST else value


def within(statement: Statement, first: date, last: date) -> Statement:
    """The days from the first to the last one, both included."""
    return msgspec.structs.replace(
        statement,
        first=max(first, statement.first),
        last=min(last, statement.last),
        figures={key: v for key, v in statement.figures.items() if first <= key[0] <= last},
        other_tiers={key: v for key, v in statement.other_tiers.items() if first <= key[0] <= last},
        apart={day: v for day, v in statement.apart.items() if first <= day <= last},
    )
