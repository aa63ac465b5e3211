"""What a response costs: its usage times a rate card.

Amounts are integers of nano-dollars. Rates are integers of nano-dollars per million units (tokens,
searches), so that a sum is exact until it is rounded once, half up, to a whole nano-dollar. A
dollar per million tokens is `DOLLAR`.

A price that isn't known is None, never zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

DOLLAR = 10**9
"""Nano-dollars."""
MAX_AMOUNT = 10_000 * DOLLAR
"""More than any response costs; SQLite refuses sums that exceed 63 bits."""
MILLION = 10**6
_HALF = MILLION // 2

STANDARD, BATCH, FLEX, PRIORITY, FAST = "standard", "batch", "flex", "priority", "fast"
TIERS = (STANDARD, BATCH, FLEX, PRIORITY, FAST)
"""The tiers of processing that have prices of their own."""
_STANDARD_NAMES = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})


class Label(StrEnum):
    """How sure an amount is: by the usage and the price of exactly this, a guess, or none."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    UNPRICED = "unpriced"


class Reason(StrEnum):
    """Why an amount isn't exact."""

    PARTIAL = "partial"
    """The usage is that of a response that broke, or is not told whole."""
    TIER = "tier"
    """The tier has no price of its own, or nobody has told which one it was."""
    PROVIDER = "provider"
    """Nobody knows the prices of the provider's host: they are those of the API's maker."""
    MODALITY = "modality"
    """Audio has no price of its own; or it or images may have been read from the cache, and the
    usage doesn't tell how many."""
    CACHE_WRITE = "cache_write"
    """Writes for an hour have no price: they are taken as twice the input's."""
    TOOL = "tool"
    """A tool of the provider's has no price, and isn't in the amount."""
    MODEL = "model"
    """The model has no price, or lacks one for what was used."""


class Usage(Protocol):
    """Tokens of a response, as `wire.facts.TokenUsage` has them."""

    @property
    def input(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def cache_read(self) -> int: ...
    @property
    def cache_write(self) -> int: ...
    @property
    def extra(self) -> Mapping[str, int]: ...
    @property
    def partial(self) -> bool: ...
    @property
    def service_tier(self) -> str | None: ...
    @property
    def speed(self) -> str | None: ...


class Rates(msgspec.Struct, frozen=True, gc=False):
    """Nano-dollars per million units; None where there is no price of its own.

    What has none is priced as what it is part of: a cache read as input, reasoning as output.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    input_image: int | None = None
    output_reasoning: int | None = None
    web_search: int | None = None
    request: int | None = None


class Step(msgspec.Struct, frozen=True, gc=False):
    """Rates of requests whose input, cache included, is more than `above` tokens.

    `is_derived` ones are no published or agreed prices, but in proportion to some.
    """

    above: int
    rates: Rates
    is_derived: bool = False


class Tier(msgspec.Struct, frozen=True):
    """The rates of a tier of processing; the first of the steps is for any length."""

    steps: tuple[Step, ...]


class RateCard(msgspec.Struct, frozen=True):
    """What a model costs at a provider: the rates by tier, `standard` always among them.

    `provider` and `model` are the table's names, if it knows them, and `version` is its version.
    `own` is the number of the own rate that overrides it, from 0. `is_guessed` tells that the
    provider isn't in the table, and that these are the prices of the API's maker. `source` names
    the rates on record: the table with its newest change, and the own rate.
    """

    provider: str
    model: str
    version: str | None
    tiers: Mapping[str, Tier]
    is_guessed: bool = False
    own: int | None = None
    source: str = ""

    def steps(self, tier: str) -> tuple[Step, ...]:
        """The steps of a tier, those of the standard one if it has no rates of its own."""
        return (self.tiers.get(tier) or self.tiers[STANDARD]).steps


class Cost(NamedTuple):
    """An amount in nano-dollars, None where there is no price."""

    amount: int | None
    label: Label
    reasons: tuple[Reason, ...] = ()


UNPRICED = Cost(None, Label.UNPRICED, (Reason.MODEL,))
FREE = Cost(0, Label.EXACT)


class Priced(NamedTuple):
    """What a usage costs, by which rates.

    `cost` is None where it couldn't be computed, `source` (see `RateCard`) where there is no rate.
    `notes` are what it is computed of beside the usage, by name, as the record has them.
    """

    cost: Cost | None
    source: str | None = None
    notes: Mapping[str, str | int] = {}


NOT_COMPUTED = Priced(None)


def tier_of(service_tier: str | None, speed: str | None = None) -> str:
    """The tier that a provider's words name; its own word for one that isn't known here."""
    if speed == FAST:
        return FAST
    if service_tier is None or service_tier in _STANDARD_NAMES:
        return STANDARD
    return service_tier


def cost(
    usage: Usage,
    card: RateCard | None,
    tier: str = STANDARD,
    *,
    is_tier_told: bool = True,
    web_searches: int = 0,
) -> Cost:
    """What one model's usage in one request costs.

    `web_searches` are those that the usage doesn't count. Where it isn't the provider that has
    told the tier, `is_tier_told` is False. The usage has to be that of a single request to the
    provider: a sum of several could seem to be a long one.
    """
    if card is None:
        return UNPRICED
    reasons: list[Reason] = []
    if usage.partial:
        reasons.append(Reason.PARTIAL)
    if card.is_guessed:
        reasons.append(Reason.PROVIDER)
    own = card.tiers.get(tier)
    steps = (own or card.tiers[STANDARD]).steps
    step = steps[0]
    if len(steps) > 1:
        step = step_of(steps, usage.input + usage.cache_read + usage.cache_write)
    if own is None or step.is_derived or not is_tier_told:
        reasons.append(Reason.TIER)
    rates = step.rates
    given = _given(usage, rates, reasons)
    generated = _generated(usage, rates)
    if given is None or generated is None:
        return UNPRICED
    total = given + generated + (rates.request or 0)
    if searches := usage.extra.get("web_search_requests", 0) + web_searches:
        if rates.web_search is None:
            reasons.append(Reason.TOOL)
        else:
            total += searches * rates.web_search
    amount = (total + _HALF) // MILLION
    if amount > MAX_AMOUNT:
        amount = MAX_AMOUNT
    if not reasons:
        return Cost(amount, Label.EXACT)
    return Cost(amount, Label.ESTIMATED, tuple(sorted({*reasons})))


def input_cost(usage: Usage, rates: Rates) -> int | None:
    """Nano-dollars of what the model was given and has searched; None where a rate is missing."""
    given = _given(usage, rates, [])
    if given is None:
        return None
    searches = usage.extra.get("web_search_requests", 0) * (rates.web_search or 0)
    return rounded(given + searches + (rates.request or 0))


def step_of(steps: Sequence[Step], given: int) -> Step:
    """The step of a request with so many tokens of input, cache included."""
    found = steps[0]
    for step in steps[1:]:
        if given <= step.above:
            break
        found = step
    return found


def rounded(millionths: int) -> int:
    """Nano-dollars of millionths of them, half up; `MAX_AMOUNT` at most."""
    return min((millionths + _HALF) // MILLION, MAX_AMOUNT)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of what has a price; unpriced where one of them is, and None where all are."""
    amount, is_priced, lacks_some = 0, False, False
    reasons: set[Reason] = set()
    for each in costs:
        reasons.update(each.reasons)
        if each.amount is not None:
            amount, is_priced = amount + each.amount, True
        lacks_some = lacks_some or each.label is Label.UNPRICED
    label = Label.UNPRICED if lacks_some else Label.ESTIMATED if reasons else Label.EXACT
    return Cost(amount if is_priced or not lacks_some else None, label, tuple(sorted(reasons)))


def _given(usage: Usage, rates: Rates, reasons: list[Reason]) -> int | None:
    """The price of what the model was given, times a million; None where a rate is missing."""
    rate, fresh, read, written = rates.input, usage.input, usage.cache_read, usage.cache_write
    if rate is None:
        return None if fresh or read or written else 0
    total = fresh * rate
    if read:
        total += read * (rate if rates.cache_read is None else rates.cache_read)
    if written:
        short = rate if rates.cache_write_5m is None else rates.cache_write_5m
        long = min(usage.extra.get("cache_ephemeral_1h_input", 0), written)
        total += (written - long) * short
        if long and rates.cache_write_1h is None:
            reasons.append(Reason.CACHE_WRITE)
            total += long * 2 * rate
        elif long:
            total += long * (rates.cache_write_1h or 0)
    if not usage.extra.keys().isdisjoint(_MODALITIES):
        total += _modalities(usage, rates, rate, reasons)
    return total


_MODALITIES = frozenset({"prompt_audio", "prompt_image", "completion_audio"})


def _modalities(usage: Usage, rates: Rates, rate: int, reasons: list[Reason]) -> int:
    """What audio and images that the model was given cost beyond text, times a million."""
    extra, total, left = usage.extra, 0, usage.input
    if (rates.input_audio is None and "prompt_audio" in extra) or (
        rates.output_audio is None and "completion_audio" in extra
    ):
        reasons.append(Reason.MODALITY)
    for name, own in (("prompt_audio", rates.input_audio), ("prompt_image", rates.input_image)):
        count = extra.get(name, 0)
        if count and own is not None and own != rate:
            if usage.cache_read:
                reasons.append(Reason.MODALITY)
            count = min(count, left)
            left -= count
            total += count * (own - rate)
    return total


def _generated(usage: Usage, rates: Rates) -> int | None:
    """The price of what the model generated, times a million; None where a rate is missing."""
    rate, output = rates.output, usage.output
    if rate is None:
        return None if output else 0
    total = output * rate
    left = output
    if rates.output_audio is not None and (count := usage.extra.get("completion_audio", 0)):
        count = min(count, left)
        left -= count
        total += count * (rates.output_audio - rate)
    if rates.output_reasoning is not None:
        thought = sum(usage.extra.get(name, 0) for name in _REASONING)
        total += min(thought, left) * (rates.output_reasoning - rate)
    return total


_REASONING = ("output_reasoning", "completion_reasoning", "output_thinking")  # one an API


def rate(dollars: Decimal) -> int:
    """The rate of so many dollars per million units."""
    return int((dollars * DOLLAR).to_integral_value(ROUND_HALF_UP))


def in_dollars(rate: int) -> Decimal:
    """Dollars per million units; of an amount, dollars."""
    return Decimal(rate) / DOLLAR


def scaled(rates: Rates, by: Mapping[str, Decimal]) -> Rates:
    """The rates times a factor of their own each."""
    found = {name: getattr(rates, name) for name in by}
    return Rates(
        **{name: v if v is None else rate(in_dollars(v) * by[name]) for name, v in found.items()}
    )
