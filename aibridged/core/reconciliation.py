"""Reconciliation: what the record and a provider's own figures say of the same days and models.

Figures are integers: requests, tokens by kind, and the cost in nano-dollars.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from aibridged.core.money import dollars, shown
from aibridged.counted import noun

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
_MOVED = 0.7
"""The share of a difference that another day has to have the other way round."""
_NAMED = 3


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


class Reason(NamedTuple):
    """Why figures may differ; `weight` (0 to 1) is how well it fits them."""

    code: str
    text: str
    weight: float


class Entry(msgspec.Struct, kw_only=True):
    """A day and model: both sides' figures, which of them differ, and why, likeliest first."""

    day: date
    model: str | None
    record: dict[str, int]
    provider: dict[str, int]
    differing: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Circumstances(NamedTuple):
    """What else reasons are found by: days are in UTC, `begins` is the record's first one."""

    today: date
    begins: date | None
    tolerance: Decimal


def base_name(model: str) -> str:
    """The name without the date of its version, or `-latest`."""
    found = _DATED.fullmatch(model)
    return model if found is None else found[1]


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
    nothing = Recorded(figures={})
    entries = []
    for key in sorted({*ours, *statement.figures}, key=lambda key: (key[0], key[1] or "")):
        if key[1] is None and statement.is_by_model:
            continue  # the costs apart
        record = ours.get(key, nothing).figures
        provider = statement.figures.get(key, {})
        entry = Entry(
            day=key[0],
            model=key[1],
            record={name: record.get(name, 0) for name in METRICS if name in statement.metrics},
            provider={name: provider.get(name, 0) for name in METRICS if name in statement.metrics},
        )
        entry.differing = tuple(
            name
            for name in entry.record
            if differs(entry.record[name], entry.provider[name], circumstances.tolerance)
        )
        entries.append(entry)
    excess = {(each.day, each.model): _excess(each) for each in entries}
    for entry in entries:
        if entry.differing:
            key = entry.day, entry.model
            found = _reasons(
                entry, ours.get(key, nothing), statement, circumstances, excess, ambiguous
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
    for entry in entries:
        for sums, of in ((record, entry.record), (provider, entry.provider)):
            for name, value in of.items():
                sums[name] += value
    return Entry(day=date.max, model=None, record=dict(record), provider=dict(provider))


def _renamed(
    recorded: Mapping[tuple[date, str], Recorded], names: Mapping[str, str], *, by_model: bool
) -> dict[Key, Recorded]:
    found: dict[Key, Recorded] = {}
    for (day, model), each in recorded.items():
        key = day, names.get(model, model) if by_model else None
        found[key] = together(found[key], each) if key in found else each
    return found


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


def _tokens(figures: Figures) -> int:
    return sum(figures.get(name, 0) for name in TOKENS)


def _size(figures: Figures) -> int:
    """Tokens, or the cost where there are none."""
    return _tokens(figures) or figures.get(COST, 0)


def _excess(entry: Entry) -> int:
    """How much more the provider has, in tokens, or in nano-dollars where it tells no tokens."""
    if any(name in entry.provider for name in TOKENS):
        return _tokens(entry.provider) - _tokens(entry.record)
    return entry.provider.get(COST, 0) - entry.record.get(COST, 0)


def _share(part: int, whole: int) -> float:
    return min(1.0, abs(part) / abs(whole)) if whole else 0.0


def _reasons(
    entry: Entry,
    recorded: Recorded,
    statement: Statement,
    circumstances: Circumstances,
    excess: Mapping[Key, int],
    ambiguous: set[str],
) -> Iterator[Reason]:
    yield from _of_the_day(entry, circumstances, excess)
    yield from _of_names(entry, recorded, ambiguous)
    yield from _of_the_record(entry, recorded)
    yield from _of_prices(entry, recorded, circumstances)
    yield from _of_the_provider(entry, statement)
    yield from _of_others(entry, recorded)


def _of_the_day(
    entry: Entry, circumstances: Circumstances, excess: Mapping[Key, int]
) -> Iterator[Reason]:
    if circumstances.begins is None or entry.day < circumstances.begins:
        begins = circumstances.begins
        what = "has nothing of these providers" if begins is None else f"begins on {begins}"
        yield Reason("before_record", f"The record {what}: it is newer, or older data is gone.", 1)
    if entry.day >= circumstances.today:
        yield Reason("not_over", "The day isn't over, and providers' figures come late.", 0.9)
    mine = excess[entry.day, entry.model]
    for other in (entry.day - timedelta(1), entry.day + timedelta(1)):
        theirs = excess.get((other, entry.model), 0)
        if mine * theirs < 0 and (fit := min(_share(mine, theirs), _share(theirs, mine))) >= _MOVED:
            yield Reason(
                "other_day",
                f"{other} differs by as much the other way round: requests over midnight, or a "
                "file in another time zone than UTC.",
                fit,
            )


def _of_names(entry: Entry, recorded: Recorded, ambiguous: set[str]) -> Iterator[Reason]:
    if entry.model is None:
        return
    base = base_name(entry.model)
    others = sorted(name for name in ambiguous if base_name(name) == base)
    if others:
        yield Reason(
            "alias",
            f"The record has {', '.join(others[:_NAMED])}, which may be this version or another.",
            0.8,
        )
    elif not any(recorded.figures.values()) and not recorded.silent:
        yield Reason(
            "no_record",
            "Nothing of this model is on record for the day: another program has used it with a "
            "key of the same account, or it has another name here.",
            0.7,
        )


def _of_the_record(entry: Entry, recorded: Recorded) -> Iterator[Reason]:
    missing = _excess(entry)
    requests = recorded.figures.get(REQUESTS, 0)
    if missing > 0:
        broken = recorded.partial + recorded.silent
        if broken:
            average = _size_of(entry, recorded.figures) // max(requests, 1)
            fit = _share(broken * average, missing) if average else 0.5
            yield Reason(
                "partial",
                f"{broken:,} {noun(broken, 'request')} broke off, or failed, before all of the "
                "usage was told.",
                0.95 * fit,
            )
        if own := _size_of(entry, recorded.byok):
            yield Reason(
                "byok",
                f"{recorded.byok.get(REQUESTS, 0):,} requests with people's own keys aren't "
                "compared: these keys may be of the same account.",
                min(_share(own, missing), _share(missing, own)),
            )
    if recorded.late and (fit := _share(recorded.late, missing)) > 0.1:
        yield Reason(
            "midnight",
            f"{recorded.late:,} tokens are of requests that began on this day and ended later.",
            0.6 * fit,
        )


def _size_of(entry: Entry, figures: Figures) -> int:
    """The figures in the unit of the entry's excess."""
    has_tokens = any(name in entry.provider for name in TOKENS)
    return _tokens(figures) if has_tokens else figures.get(COST, 0)


def _of_prices(entry: Entry, recorded: Recorded, circumstances: Circumstances) -> Iterator[Reason]:
    if COST not in entry.differing:
        return
    ours, theirs = entry.record[COST], entry.provider[COST]
    if ours < theirs:
        for number, code, text in (
            (recorded.unpriced, "unpriced", "of a model without a price"),
            (recorded.uncosted, "not_computed", "from before costs were recorded"),
        ):
            if number:
                of_all = number / max(recorded.figures.get(REQUESTS, 0), number)
                fit = of_all if ours else 1.0
                yield Reason(
                    code, f"{number:,} {noun(number, 'request')} {text} have no cost here.", fit
                )
    if recorded.own_rates:
        yield Reason(
            "own_rates",
            f"Costs here are by own rates of aibridge.prices{_ratio(ours, theirs)}.",
            0.9,
        )
    elif recorded.estimated:
        number = recorded.estimated
        yield Reason(
            "estimated",
            f"The costs of {number:,} {noun(number, 'request')} are estimates.",
            0.4 + 0.4 * _share(number, recorded.figures.get(REQUESTS, 0)),
        )
    known = [name for name in TOKENS if name in entry.provider]
    if known and not any(name in entry.differing for name in known) and ours and theirs:
        yield Reason("price", f"The same tokens have another price{_ratio(ours, theirs)}.", 0.5)


def _ratio(ours: int, theirs: int) -> str:
    return f": {ours / theirs:.1%} of the provider's" if theirs else ""


def _of_the_provider(entry: Entry, statement: Statement) -> Iterator[Reason]:
    excess = _excess(entry)
    other = statement.other_tiers.get((entry.day, entry.model), {})
    has_more = any(entry.provider[name] > entry.record[name] for name in entry.differing)
    if has_more and (size := _size_of(entry, other)):
        amount = f"{_tokens(other):,} tokens" if _tokens(other) else shown(other[COST], None)
        fit = _share(size, excess) if excess > 0 else 0.3
        yield Reason(
            "tier",
            f"{amount} of the provider's are of another tier (batch, flex, priority); batches "
            "don't go through the gateway.",
            fit,
        )
    apart = statement.apart.get(entry.day, {})
    if (
        statement.is_by_model
        and apart
        and COST in entry.differing
        and (entry.record[COST] > entry.provider[COST])
    ):
        most = sorted(apart, key=lambda name: -apart[name])[:_NAMED]
        listed = ", ".join(f"{name} {shown(apart[name], None)}" for name in most)
        fit = _share(sum(apart.values()), entry.record[COST] - entry.provider[COST])
        yield Reason("apart", f"The provider lists costs of no model apart: {listed}.", 0.9 * fit)


def _of_others(entry: Entry, recorded: Recorded) -> Iterator[Reason]:
    excess = _excess(entry)
    if excess > 0 and any(recorded.figures.values()):
        yield Reason(
            "other_programs",
            "The provider has more: other programs use keys of the same account.",
            0.25,
        )
    elif excess < 0:
        yield Reason(
            "file_lacks",
            "The record has more: the file leaves out keys, workspaces or projects, is of another "
            "account, or was made before all figures were there.",
            0.3,
        )


def as_text(metric: str, value: int) -> str:
    """A figure for people."""
    return shown(value, None) if metric == COST else f"{value:,}"


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


def differing(entries: Sequence[Entry]) -> list[Entry]:
    """Those in which something differs."""
    return [each for each in entries if each.differing]
