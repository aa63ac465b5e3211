"""Why a record and a provider's figures of a day and model may differ, by the signs in both."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from aibridged.core.money import shown
from aibridged.core.usage_figures import (
    COST,
    REQUESTS,
    TOKENS,
    Entry,
    Figures,
    Key,
    Reason,
    Recorded,
    Statement,
    base_name,
)
from aibridged.counted import noun

_MOVED = 0.7
"""The share of a difference that another day has to have the other way round."""
_NAMED = 3


class Circumstances(NamedTuple):
    """What else reasons are found by: days are in UTC, `begins` is the record's first one."""

    today: date
    begins: date | None
    tolerance: Decimal


def _tokens(figures: Figures) -> int:
    return sum(figures.get(name, 0) for name in TOKENS)


def _size(figures: Figures) -> int:
    """Tokens, or the cost where there are none."""
    return _tokens(figures) or figures.get(COST, 0)


def excess_of(entry: Entry) -> int:
    """How much more the provider has, in tokens, or in nano-dollars where it tells no tokens."""
    if any(name in entry.provider for name in TOKENS):
        return _tokens(entry.provider) - _tokens(entry.record)
    return entry.provider.get(COST, 0) - entry.record.get(COST, 0)


def _share(part: int, whole: int) -> float:
    return min(1.0, abs(part) / abs(whole)) if whole else 0.0


def reasons_of(
    entry: Entry,
    recorded: Recorded,
    statement: Statement,
    circumstances: Circumstances,
    excess: Mapping[Key, int],
    ambiguous: set[str],
) -> Iterator[Reason]:
    """The reasons, in no order. `excess` is that of all entries; `ambiguous` names are aliases."""
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
    missing = excess_of(entry)
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
            requests = recorded.byok.get(REQUESTS, 0)
            yield Reason(
                "byok",
                f"{requests:,} {noun(requests, 'request')} with people's own keys aren't compared: "
                "these keys may be of the same account.",
                min(_share(own, missing), _share(missing, own)),
            )
    if recorded.late and (fit := _share(recorded.late, missing)) > 0.1:
        tokens = noun(recorded.late, "token is", "tokens are")
        yield Reason(
            "midnight",
            f"{recorded.late:,} {tokens} of requests that began on this day and ended later.",
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
    excess = excess_of(entry)
    other = statement.other_tiers.get((entry.day, entry.model), {})
    has_more = any(entry.provider[name] > entry.record[name] for name in entry.differing)
    if has_more and (size := _size_of(entry, other)):
        tokens = _tokens(other)
        amount = f"{tokens:,} {noun(tokens, 'token')}" if tokens else shown(other[COST], None)
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
    excess = excess_of(entry)
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
