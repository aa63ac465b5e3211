"""Rows of the FinOps Open Cost and Usage Specification (FOCUS) 1.2, of what models were used.

Source: https://focus.finops.org/focus-specification/v1-2/, columns and attributes. A row is a
kind of token that a person's client used of a model in a charge period.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from aibridged.core.money import dollars
from aibridged.core.prices import STANDARD, Rates

MILLION = 10**6
CURRENCY = "USD"
TAG_PREFIX = "aibridged/"
"""Of the keys of tags, which the specification asks of those that aren't the user's own."""

# So many that a price times its quantity is the cost to the nano-dollar, up to 10**12 tokens.
_PRICE_PLACES = Decimal("1e-16")


class ChargePeriod(StrEnum):
    """How long the charge periods are."""

    HOUR = "hour"
    DAY = "day"


class Charge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a person's client used of a model at a tier, with one label and price table, in one
    charge period.

    `tokens` are input, output, read from the cache and written to it, none in another. `cost` is in
    nano-dollars, None where there is none.
    """

    start: datetime
    provider_name: str
    model: str
    initiator_id: str
    username: str | None
    client: str
    is_byok: bool
    tier: str
    label: str | None
    price_version: str | None
    requests: int
    tokens: tuple[int, int, int, int]
    cost: int | None


class Seller(NamedTuple):
    """A provider: `id` is for SKUs, `name` for people."""

    id: str
    name: str


class Prices(NamedTuple):
    """Rates that the cost was computed with, and those of the public table, if known."""

    agreed: Rates | None = None
    public: Rates | None = None


class _Part(NamedTuple):
    """A part of a charge: so many of a unit, in nano-dollars."""

    meter: str
    quantity: int
    unit: str
    cost: int
    list_cost: int


COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_CostLabel",
    "x_PriceVersion",
)
"""Those of the specification by name, and then our own."""

_METERS = ("Input Tokens", "Output Tokens", "Cache Read Tokens", "Cache Write Tokens")
_TOKENS, _REQUESTS = "Tokens", "Requests"


def rows(
    charge: Charge,
    period: ChargePeriod,
    seller: Seller,
    prices: Prices,
    groups: Sequence[str] = (),
) -> Iterator[Sequence[Any]]:
    """The rows of a charge, in the order of `COLUMNS`: times as datetimes, JSON as dictionaries.

    The record has one cost for all kinds of token of a response: it is divided by their rates, to
    the nano-dollar. Without rates they are one row together. A charge without a cost has no row: a
    cost may not be missing, and zero would be wrong.
    """
    if charge.cost is None:
        return
    of_charge = _of_charge(charge, period, seller, groups)
    for part in _parts(charge, charge.cost, prices):
        row = {**of_charge, **_of_part(charge, seller, part)}
        yield [row[name] for name in COLUMNS]


def _parts(charge: Charge, cost: int, prices: Prices) -> Iterator[_Part]:
    if not any(charge.tokens):
        if cost:
            yield _Part("Requests", charge.requests, _REQUESTS, cost, cost)
        return
    agreed = None if prices.agreed is None else _of_kinds(prices.agreed)
    weights = [] if agreed is None else [a * b for a, b in zip(charge.tokens, agreed, strict=True)]
    if agreed is None or (cost and not any(weights)):
        yield _Part("Tokens", sum(charge.tokens), _TOKENS, cost, cost)
        return
    public = agreed if prices.public is None else _of_kinds(prices.public)
    costs = divided(cost, weights)
    for meter, count, part, own, listed in zip(
        _METERS, charge.tokens, costs, agreed, public, strict=True
    ):
        if count:
            yield _Part(meter, count, _TOKENS, part, _listed(part, count, own, listed))


def _of_kinds(rates: Rates) -> Sequence[int]:
    """The rates of the kinds of token; what has none is priced as input."""
    base = rates.input or 0
    read = base if rates.cache_read is None else rates.cache_read
    write = base if rates.cache_write_5m is None else rates.cache_write_5m
    return base, rates.output or 0, read, write


def _listed(cost: int, count: int, own: int, listed: int) -> int:
    """What it would have cost by the public table."""
    if own == listed:
        return cost
    return cost * listed // own if own else count * listed // MILLION


def divided(amount: int, weights: Sequence[int]) -> Sequence[int]:
    """An amount in proportion to the weights; the sum is exact."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    rests = [amount * weight % total for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda number: -rests[number])
    for number in by_rest[: amount - sum(parts)]:
        parts[number] += 1
    return parts


def _of_charge(
    charge: Charge, period: ChargePeriod, seller: Seller, groups: Sequence[str]
) -> Mapping[str, Any]:
    start = charge.start
    month = start.replace(day=1, hour=0)
    next_month = (month + timedelta(days=31)).replace(day=1)
    account = charge.provider_name
    if charge.is_byok:
        account = f"{account}/byok/{charge.initiator_id}"
    return {
        "BillingAccountId": account,
        "BillingAccountName": charge.username if charge.is_byok else charge.provider_name,
        "BillingAccountType": "User" if charge.is_byok else "Organization",
        "BillingCurrency": CURRENCY,
        "BillingPeriodStart": month,
        "BillingPeriodEnd": next_month,
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(**{f"{period.value}s": 1}),
        "InvoiceIssuerName": seller.name,
        "PricingCategory": "Standard",
        "PricingCurrency": CURRENCY,
        "ProviderName": seller.name,
        "PublisherName": seller.name,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{seller.name} API",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": charge.initiator_id,
        "SubAccountName": charge.username or None,
        "SubAccountType": "User",
        "Tags": _tags(charge, groups),
        "x_CostLabel": charge.label,
        "x_PriceVersion": charge.price_version,
    }


def _tags(charge: Charge, groups: Sequence[str]) -> Mapping[str, str]:
    known = {
        "user": charge.username or charge.initiator_id,
        "groups": ",".join(groups),
        "client": charge.client,
        "model": charge.model,
    }
    return {f"{TAG_PREFIX}{name}": value for name, value in known.items() if value}


def _of_part(charge: Charge, seller: Seller, part: _Part) -> Mapping[str, Any]:
    block = MILLION if part.unit == _TOKENS else 1
    price, list_price = (
        _unit_price(amount, part.quantity, block) for amount in (part.cost, part.list_cost)
    )
    cost = dollars(part.cost)
    sku = f"{seller.id}/{charge.model}"
    price_id = f"{sku}/{part.meter.lower().replace(' ', '-')}"
    details = {"Model": charge.model, "Meter": part.meter}
    if charge.tier != STANDARD:
        price_id = f"{price_id}/{charge.tier}"
        details["Tier"] = charge.tier
    return {
        "BilledCost": cost,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "PricingCurrencyEffectiveCost": cost,
        "ListCost": dollars(part.list_cost),
        "ContractedUnitPrice": price,
        "PricingCurrencyContractedUnitPrice": price,
        "ListUnitPrice": list_price,
        "PricingCurrencyListUnitPrice": list_price,
        "ConsumedQuantity": str(part.quantity),
        "ConsumedUnit": part.unit,
        "PricingQuantity": _plain(Decimal(part.quantity) / block),
        "PricingUnit": part.unit if block == 1 else f"{block} {part.unit}",
        "ChargeDescription": f"{charge.model} of {seller.name}: {part.quantity} {part.meter}",
        "SkuId": sku,
        "SkuMeter": part.meter,
        "SkuPriceId": price_id,
        "SkuPriceDetails": details,
    }


def _unit_price(nanos: int, quantity: int, block: int) -> str:
    """Dollars for a block of units, on average."""
    with localcontext(prec=50):
        price = Decimal(nanos) * block / quantity / 10**9
        return _plain(price.quantize(_PRICE_PLACES, ROUND_HALF_EVEN))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
