"""Settings of the own rates: what contracts say that models cost."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from decimal import Decimal

from aibridged.config import kinds, rates, sources
from aibridged.config.declare import Group
from aibridged.config.entries import Entry, EntryList
from aibridged.config.kinds import Kind
from aibridged.config.options import PriceSettings
from aibridged.config.resolution import Mistake

MAX_ENTRIES = 500
"""Each is compared with all before it, and with each new model's name."""
_MAX_NAME = 512  # characters
_MAX_MULTIPLIER = 1_000
_RATES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search")


def _multiplier(text: str) -> Decimal:
    value = rates.number(text, _MAX_MULTIPLIER)
    if not value:
        raise ValueError("is 0: give rates of 0 to what costs nothing")
    return value


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a date like 2026-01-31") from None


def _glob(text: str) -> str:
    if len(text) > _MAX_NAME or not text.isprintable():
        raise ValueError(f"is longer than {_MAX_NAME} characters, or not printable")
    return text


_DOLLARS = Kind("DOLLARS", rates.dollars)

PRICES = EntryList(
    name="prices",
    noun="price",
    word="PRICE",
    first="model: …",
    group=Group.RECORDS,
    fields={
        "provider": kinds.TEXT,
        "model": Kind("GLOB", _glob),
        **dict.fromkeys(_RATES, _DOLLARS),
        "multiplier": Kind("NUMBER", _multiplier),
        "from": Kind("DATE", _day),
    },
    explicit=True,
)


def read_list(
    entries: Sequence[Entry], known: Collection[str] | None, mistakes: list[Mistake]
) -> tuple[PriceSettings, ...]:
    """The prices in their order; each invalid or unreachable one is reported as a mistake.

    `known` are the providers' names, None where they can't be told.
    """
    before = len(mistakes)
    if len(entries) > MAX_ENTRIES:
        what = f"there are {len(entries)} prices, and at most {MAX_ENTRIES} are read"
        mistakes.append(Mistake(entries[MAX_ENTRIES].where, what, "Join models by globs."))
        return ()
    prices = []
    for entry in entries:
        read = sources.read_fields(entry.fields, PRICES.fields, mistakes)
        read["start"] = read.pop("from", None)
        prices.append(PriceSettings(**read))
        mistakes += _wrong(entry, prices[-1], known)
    if len(mistakes) == before:
        mistakes += _unreachable(entries, prices)
    return tuple(prices)


def _wrong(entry: Entry, price: PriceSettings, known: Collection[str] | None) -> Iterator[Mistake]:
    if not entry.fields.keys() & {*_RATES, "multiplier"}:
        remedy = f"Give it {', '.join(_RATES)} or multiplier."
        yield Mistake(entry.where, "this entry says no price", remedy)
    if known is not None and price.provider is not None and price.provider not in known:
        listed = ", ".join(sorted(known)) or "none"
        what = f"there is no provider {price.provider!r}"
        yield Mistake(entry.fields["provider"].where, what, f"There are: {listed}.")


def _unreachable(entries: Sequence[Entry], prices: Sequence[PriceSettings]) -> Iterator[Mistake]:
    """Prices that never count, since an earlier one fits whatever they fit."""
    for number, price in enumerate(prices):
        for earlier, entry in zip(prices[:number], entries, strict=False):
            if _covers(earlier, price):
                what = f"this price never counts: the one at {entry.where} fits all that it does"
                remedy = "Put the narrower and the later ones first."
                yield Mistake(entries[number].where, what, remedy)
                break


def _covers(one: PriceSettings, other: PriceSettings) -> bool:
    return (
        one.provider in (None, other.provider)
        and one.model in (None, "*", other.model)
        and (one.start is None or (other.start is not None and one.start <= other.start))
    )
