"""The rules of FOCUS 1.2 for rows of usage, as far as the columns of an export go.

Source: https://focus.finops.org/focus-specification/v1-2/, of each column its requirements and
content constraints, and the attributes for numbers, times, currencies, units, key-value pairs and
nulls. Those of other kinds of charges, and of commitments, can't occur.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, localcontext

DECIMAL = re.compile(r"-?\d+(\.\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CURRENCY = re.compile(r"[A-Z]{3}")
UNIT = re.compile(r"([1-9]\d* )?(Tokens|Requests)")
PASCAL_CASE = re.compile(r"[A-Z][A-Za-z]{0,49}")
CUSTOM = re.compile(r"x_[A-Z][A-Za-z]{0,47}")
PLACEHOLDERS = {"n/a", "na", "none", "null", "not applicable", "unknown", "-"}

MANDATORY = {
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass"),
    *("ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost"),
    *("EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
}
# The specification asks for these where a provider has prices, units, tags, and sub-accounts.
CONDITIONAL = {
    *("BillingAccountType", "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice"),
    *("ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice"),
    *("PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "SkuId", "SkuMeter"),
    *("SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags"),
}
RECOMMENDED = {"ChargeFrequency", "ServiceSubcategory"}
NULLABLE = {"BillingAccountName", "ChargeClass", "SubAccountName", "x_PriceVersion", "x_CostLabel"}

COSTS = {
    "BilledCost",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "PricingCurrencyEffectiveCost",
}
PRICES = {
    *("ContractedUnitPrice", "ListUnitPrice"),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice"),
}
TIMES = {"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"}
ALLOWED = {
    "ChargeCategory": {"Usage"},  # of five: only usage is exported
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {
        *("Bots", "Generative AI", "Machine Learning", "Natural Language Processing"),
        "Other (AI and Machine Learning)",
    },
}
FORMATS = {
    **dict.fromkeys((*COSTS, *PRICES, "ConsumedQuantity", "PricingQuantity"), DECIMAL),
    **dict.fromkeys(TIMES, TIME),
    **dict.fromkeys(("BillingCurrency", "PricingCurrency"), CURRENCY),
    **dict.fromkeys(("ConsumedUnit", "PricingUnit"), UNIT),
}


def violations(row: Mapping[str, str]) -> list[str]:
    """What is wrong with a row; a null is an empty cell."""
    missing = (MANDATORY | CONDITIONAL | RECOMMENDED) - row.keys()
    if missing:
        return [f"missing: {sorted(missing)}"]
    formal = [*_of_names(row), *_of_values(row)]
    return formal or [*_of_amounts(row), *_of_periods(row), *_of_objects(row)]


def _of_names(row: Mapping[str, str]) -> Iterator[str]:
    known = MANDATORY | CONDITIONAL | RECOMMENDED
    names = list(row)
    for name in names:
        if not (PASCAL_CASE if name in known else CUSTOM).fullmatch(name):
            yield f"{name}: no name of a column, or of one of our own"
    custom = [name for name in names if name.startswith("x_")]
    if names[len(names) - len(custom) :] != custom:
        yield "custom columns are to be the last"


def _of_values(row: Mapping[str, str]) -> Iterator[str]:
    for name, value in row.items():
        if not value and name not in NULLABLE:
            yield f"{name} is null"
        elif value.strip().lower() in PLACEHOLDERS:
            yield f"{name} has a placeholder"
        elif value and name in FORMATS and not FORMATS[name].fullmatch(value):
            yield f"{name}: {value!r} has another format"
        if name in ALLOWED and value not in ALLOWED[name]:
            yield f"{name}: {value!r} isn't allowed"


def _of_amounts(row: Mapping[str, str]) -> Iterator[str]:
    number = {name: Decimal(row[name]) for name in FORMATS if FORMATS[name] is DECIMAL}
    if number["ConsumedQuantity"] <= 0:
        yield "ConsumedQuantity isn't positive"
    if any(number[name] < 0 for name in PRICES):
        yield "a unit price is negative"
    with localcontext(prec=60):
        for price, cost in (
            ("ListUnitPrice", "ListCost"),
            ("ContractedUnitPrice", "ContractedCost"),
            ("PricingCurrencyListUnitPrice", "ListCost"),
            ("PricingCurrencyContractedUnitPrice", "ContractedCost"),
        ):
            product = number[price] * number["PricingQuantity"]
            if round(product, 9) != number[cost]:
                yield f"{price} times PricingQuantity isn't {cost}"
        block = int(row["PricingUnit"].rpartition(" ")[0] or 1)
        if number["PricingQuantity"] * block != number["ConsumedQuantity"]:
            yield "the two quantities aren't the same"
    if number["BilledCost"] != number["EffectiveCost"]:
        yield "without commitments, BilledCost is EffectiveCost"
    if row["PricingCurrency"] == row["BillingCurrency"] and (
        number["PricingCurrencyEffectiveCost"] != number["EffectiveCost"]
    ):
        yield "PricingCurrencyEffectiveCost isn't EffectiveCost"


def _of_periods(row: Mapping[str, str]) -> Iterator[str]:
    at = {name: datetime.fromisoformat(row[name]) for name in TIMES}
    start, end = at["ChargePeriodStart"], at["ChargePeriodEnd"]
    if not at["BillingPeriodStart"] <= start < end <= at["BillingPeriodEnd"]:
        yield "the charge period isn't in its billing period"
    if (end - start).total_seconds() not in (3600, 86400):
        yield "the charge period is neither an hour nor a day"
    if at["BillingPeriodStart"].day != 1 or at["BillingPeriodEnd"].day != 1:
        yield "the billing period isn't a month"


def _of_objects(row: Mapping[str, str]) -> Iterator[str]:
    for name in ("Tags", "SkuPriceDetails"):
        try:
            value = json.loads(row[name])
        except ValueError:
            yield f"{name} isn't JSON"
            continue
        if not isinstance(value, dict) or any(isinstance(v, list | dict) for v in value.values()):
            yield f"{name} isn't an object of plain values"
        elif name == "Tags" and not all("/" in key for key in value):
            yield "a tag of the provider's has no prefix"
        elif name == "SkuPriceDetails" and not all(PASCAL_CASE.fullmatch(key) for key in value):
            yield "a property isn't in Pascal case"
    if not row["SkuPriceId"].startswith(row["SkuId"]):
        yield "a price belongs to one SKU"
