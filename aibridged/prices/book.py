"""Rate cards by provider and model: of the table of public prices, and of the own rates.

A card is made once per provider, model and day, in about 0.1 ms, and then found in a dictionary.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from aibridged.config.globs import matcher
from aibridged.config.options import PriceSettings, ProviderSettings
from aibridged.core.prices import (
    BATCH,
    FAST,
    FLEX,
    PRIORITY,
    STANDARD,
    RateCard,
    Rates,
    Step,
    Tier,
    in_dollars,
    rate,
    scaled,
)
from aibridged.prices.table import Table

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

MAX_CARDS = 2048
"""Cards that are kept; beyond that, those that weren't used the longest go."""
MAX_NAME = 512
"""Characters of a model's name; a longer one has no price."""

# What the library calls the circumstances of a request, by tier.
_CIRCUMSTANCES: Mapping[str, Mapping[str, str]] = {
    STANDARD: {"service_tier": "default"},
    BATCH: {"processing": "batch"},
    FLEX: {"service_tier": "flex"},
    PRIORITY: {"service_tier": "priority"},
    FAST: {"service_tier": "fast", "speed": "fast"},
}
# The library's names of prices, the first that is there, and the units in a million of which they
# are: tokens by the million, searches and requests by the thousand.
_PRICES: Mapping[str, tuple[tuple[str, ...], int]] = {
    "input": (("input_mtok",), 1),
    "output": (("output_mtok",), 1),
    "cache_read": (("cache_read_mtok",), 1),
    "cache_write_5m": (("cache_write_5m_mtok", "cache_write_mtok"), 1),
    "cache_write_1h": (("cache_write_1h_mtok",), 1),
    "input_audio": (("input_audio_mtok",), 1),
    "output_audio": (("output_audio_mtok",), 1),
    "input_image": (("input_image_mtok",), 1),
    "output_reasoning": (("output_reasoning_mtok",), 1),
    "web_search": (("web_searches_kcount",), 1000),
    "request": (("requests_kcount",), 1000),
}
_OWN = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search")
# What keeps its proportion to a rate where that alone is given, as providers define them.
_PARTS = {
    "input": ("cache_read", "cache_write_5m", "cache_write_1h", "input_audio", "input_image"),
    "output": ("output_audio", "output_reasoning"),
}
# Types of providers whose makers the library calls something else.
_MAKERS = {"copilot": "github-copilot"}


class _Place(NamedTuple):
    """Where the table has a provider's prices."""

    provider: "Provider | None"
    is_guessed: bool


class _Own(msgspec.Struct, frozen=True):
    """An entry of the own rates; `number` counts from 0."""

    number: int
    settings: PriceSettings
    fits_model: Callable[[str], bool]

    @property
    def source(self) -> str:
        """Its name on record."""
        return f"prices[{self.number}]"


class PriceBook:
    """Finds rate cards. Nothing in it changes: a reload makes another. Threads may share it.

    `unpriced` is the card of models that have none, where the settings give them a rate.
    """

    def __init__(
        self,
        table: Table,
        own: Sequence[PriceSettings] = (),
        providers: Sequence[ProviderSettings] = (),
        unpriced: Decimal | None = None,
    ) -> None:
        self.table = table
        self.unpriced = None if unpriced is None else _of_any(unpriced)
        self._own = [
            _Own(number, each, matcher([each.model or "*"])) for number, each in enumerate(own)
        ]
        self._by_id = {each.id: each for each in table.providers}
        self._places = {each.name: self._place(each) for each in providers}
        self._cards = lru_cache(MAX_CARDS)(self._cards_of)

    def card(self, provider: str, model: str, at: datetime) -> RateCard | None:
        """What the model costs at that time; None where nobody says.

        `provider` is the name of a provider of the settings, or else the table's id of one.
        """
        if len(model) > MAX_NAME:
            return None
        if at.tzinfo is not UTC:
            at = at.astimezone(UTC)
        cards = self._cards(provider, model, at.date())
        found = cards[0][1]
        if len(cards) == 1:  # as most models have: their prices are the same all day
            return found
        now = at.time()
        for start, card in cards[1:]:
            if start > now:
                break
            found = card
        return found

    def place(self, provider: str) -> "tuple[Provider | None, bool]":
        """The provider in the table, and whether that is a guess by the API that it speaks."""
        return self._places.get(provider) or _Place(self._by_id.get(provider), False)

    def own_names(self, provider: str) -> Iterator[str]:
        """The models that the own rates name in full."""
        for each in self._own:
            name = each.settings.model
            if name and not set("*?") & set(name) and each.settings.provider in (None, provider):
                yield name

    def _place(self, settings: ProviderSettings) -> _Place:
        for each in self.table.providers:
            if re.match(each.api_pattern, f"{settings.base_url}/"):
                return _Place(each, False)
        return _Place(self._by_id.get(_MAKERS.get(settings.type, settings.type)), True)

    def _cards_of(
        self, provider: str, model: str, day: date
    ) -> Sequence[tuple[time, RateCard | None]]:
        """The cards of a day, each with the time from which it counts."""
        return tuple(self._of_day(provider, model, day))

    def _of_day(
        self, provider: str, model: str, day: date
    ) -> Iterator[tuple[time, RateCard | None]]:
        place, is_guessed = self.place(provider)
        found = None
        if place is not None:
            found = place.find_model(model.lower(), all_providers=[*self.table.providers])
        own = self._own_of(provider, model, day)
        for start in sorted({time(), *_changes(found)}):
            at = datetime.combine(day, start, UTC)
            card = None
            if place is not None and found is not None:
                # Another maker's tiers aren't this provider's.
                is_own = any(each is found for each in place.models)
                card = RateCard(
                    provider=place.id,
                    model=found.id,
                    version=self.table.version,
                    tiers=dict(_tiers(found, at, is_own)),
                    is_guessed=is_guessed,
                    source=self.table.source,
                )
            yield start, card if own is None else _by_contract(card, own, provider, model)

    def _own_of(self, provider: str, model: str, day: date) -> _Own | None:
        for each in self._own:
            of = each.settings
            has_begun = of.start is None or of.start <= day
            if has_begun and of.provider in (None, provider) and each.fits_model(model):
                return each
        return None


def _of_any(dollars: Decimal) -> RateCard:
    """A card with one rate for all tokens."""
    all_tokens = Rates(input=rate(dollars), output=rate(dollars))
    tiers = {STANDARD: Tier((Step(-1, all_tokens),))}
    return RateCard("", "", None, tiers, source=f"unpriced at {dollars}")


def _changes(model: "ModelInfo | None") -> Iterator[time]:
    """The times of the day at which the model's prices change."""
    prices: Any = () if model is None else model.prices
    for each in prices if isinstance(prices, list) else ():
        for name in ("start_time", "end_time"):
            at = getattr(each.constraint, name, None)
            if at is not None:
                moved = datetime.combine(date(2000, 1, 1), at, at.tzinfo or UTC)
                yield moved.astimezone(UTC).time()


def _tiers(model: "ModelInfo", at: datetime, has_variants: bool) -> Iterator[tuple[str, Tier]]:
    variants = [
        each
        for each in (model.price_variants or () if has_variants else ())
        if each.constraint is None or each.constraint.active(at)
    ]
    for tier, circumstances in _CIRCUMSTANCES.items():
        if tier == STANDARD or any(each.when.items() <= circumstances.items() for each in variants):
            yield tier, Tier(_steps(model.get_prices(at, circumstances if variants else None)))


def _steps(prices: "ModelPrice") -> tuple[Step, ...]:
    """The rates by length of the request."""
    found = {name: _price(prices, keys) for name, (keys, _) in _PRICES.items()}
    starts = sorted(
        {tier.start for price in found.values() for tier in getattr(price, "tiers", ())}
    )
    return tuple(
        Step(above, Rates(**{name: _at(price, above, name) for name, price in found.items()}))
        for above in (-1, *starts)
    )


def _price(prices: "ModelPrice", keys: Sequence[str]) -> Any:
    of = vars(prices)
    return next((of[key] for key in keys if of.get(key) is not None), None)


def _at(price: Any, above: int, name: str) -> int | None:
    """The rate of requests with more than so many tokens."""
    if price is None:
        return None
    value = price
    if not isinstance(price, Decimal):
        value = price.base
        for tier in price.tiers:
            if tier.start <= above:
                value = tier.price
    return rate(value * _PRICES[name][1])


def _by_contract(card: RateCard | None, own: _Own, provider: str, model: str) -> RateCard | None:
    """The card with the own rates; what they leave out keeps its proportion to them."""
    settings = own.settings
    given = {
        name: rate(value * _PRICES[name][1])
        for name in _OWN
        if (value := getattr(settings, name)) is not None
    }
    if card is None:
        if not given:
            return None
        tiers = {STANDARD: Tier((Step(-1, Rates(**given)),))}
        return RateCard(provider, model, None, tiers, own=own.number, source=own.source)
    base = card.tiers[STANDARD].steps[0].rates
    factors = dict.fromkeys(Rates.__struct_fields__, settings.multiplier or Decimal(1))
    for name, value in given.items():
        if public := getattr(base, name):
            factor = in_dollars(value) / in_dollars(public)
            factors |= dict.fromkeys(_PARTS.get(name, ()), factor) | {name: factor}
    tokens = given.keys() - {"web_search"}
    tiers = {
        tier: Tier(
            tuple(
                _step_by_contract(
                    step,
                    factors,
                    given,
                    is_first=tier == STANDARD and number == 0,
                    has_tokens=bool(tokens),
                )
                for number, step in enumerate(of.steps)
            )
        )
        for tier, of in card.tiers.items()
    }
    return msgspec.structs.replace(
        card,
        tiers=tiers,
        own=own.number,
        source=f"{own.source} over {card.source}",
        is_guessed=card.is_guessed and not {"input", "output"} <= given.keys(),
    )


def _step_by_contract(
    step: Step,
    factors: Mapping[str, Decimal],
    given: Mapping[str, int],
    *,
    is_first: bool,
    has_tokens: bool,
) -> Step:
    rates = scaled(step.rates, factors)
    exact = {
        name: value
        for name, value in given.items()
        if is_first or getattr(step.rates, name) is None
    }
    return Step(
        step.above,
        msgspec.structs.replace(rates, **exact),
        is_derived=has_tokens and not is_first,
    )
