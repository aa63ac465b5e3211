"""Reconciliation: the record beside a provider's own figures of the same days and models."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from aibridged.core.discrepancies import Circumstances, excess_of, reasons_of
from aibridged.core.prices import Label
from aibridged.core.usage_figures import (
    METRICS,
    Entry,
    Key,
    Recorded,
    Statement,
    base_name,
    together,
)

NOTHING = Recorded(figures={})
_WORST_FIRST = (Label.UNPRICED, Label.ESTIMATED, Label.EXACT)


def same_names(
    record: Iterable[str], provider: Iterable[str]
) -> tuple[Mapping[str, str], set[str]]:
    """The provider's names of the record's models; and those that could be one of several.

    A name without a date, and one with it, are taken as the same only where the provider has a
    single name of that model: two dates are two models.
    """
    by_base: dict[str, set[str]] = defaultdict(set)
    for name in provider:
        by_base[base_name(name)].add(name)
    names, ambiguous = {}, set()
    for name in record:
        theirs = by_base.get(base_name(name), set())
        is_dated = _is_dated(name)
        if name in theirs or not theirs:
            continue
        (only, *more) = theirs
        if more and not is_dated:
            ambiguous.add(name)
        elif not more and not (is_dated and _is_dated(only)):
            names[name] = only
    return names, ambiguous


def _is_dated(name: str) -> bool:
    return base_name(name) != name and not name.endswith("-latest")


def compare(
    recorded: Mapping[tuple[date, str], Recorded],
    statement: Statement,
    circumstances: Circumstances,
) -> list[Entry]:
    """Both sides by day and model, in order."""
    names, ambiguous = same_names(
        {model for _, model in recorded},
        {model for _, model in statement.figures if model is not None},
    )
    ours = _renamed(recorded, names, by_model=statement.is_by_model)
    metrics = [name for name in METRICS if name in statement.metrics]
    entries = []
    for key in sorted({*ours, *statement.figures}, key=lambda key: (key[0], key[1] or "")):
        if key[1] is None and statement.is_by_model:
            continue  # the costs apart
        record, provider = ours.get(key, NOTHING), statement.figures.get(key, {})
        entry = Entry(
            day=key[0],
            model=key[1],
            record={name: record.figures.get(name, 0) for name in metrics},
            provider={name: provider.get(name, 0) for name in metrics},
            cost_label=record.cost_label,
        )
        entry.differing = tuple(
            name
            for name in entry.record
            if differs(entry.record[name], entry.provider[name], circumstances.tolerance)
        )
        entries.append(entry)
    excess = {(each.day, each.model): excess_of(each) for each in entries}
    for entry in entries:
        if entry.differing:
            key = entry.day, entry.model
            found = reasons_of(
                entry, ours.get(key, NOTHING), statement, circumstances, excess, ambiguous
            )
            entry.reasons = tuple(sorted(found, key=lambda reason: -reason.weight))
    return entries


def differs(record: int, provider: int, tolerance: Decimal) -> bool:
    """Whether the difference is more than a share of the greater one."""
    return abs(record - provider) > tolerance * max(abs(record), abs(provider))


def totals(entries: Iterable[Entry]) -> Entry:
    """The sums of all entries."""
    record: dict[str, int] = defaultdict(int)
    provider: dict[str, int] = defaultdict(int)
    labels = {Label.EXACT}
    for entry in entries:
        labels.add(entry.cost_label)
        for sums, of in ((record, entry.record), (provider, entry.provider)):
            for name, value in of.items():
                sums[name] += value
    label = next(each for each in _WORST_FIRST if each in labels)
    return Entry(
        day=date.max,
        model=None,
        record=dict(record),
        provider=dict(provider),
        cost_label=label,
    )


def _renamed(
    recorded: Mapping[tuple[date, str], Recorded], names: Mapping[str, str], *, by_model: bool
) -> dict[Key, Recorded]:
    found: dict[Key, Recorded] = {}
    for (day, model), each in recorded.items():
        key = day, names.get(model, model) if by_model else None
        found[key] = together(found[key], each) if key in found else each
    return found
