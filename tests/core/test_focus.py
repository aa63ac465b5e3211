"""Rows of the FinOps specification FOCUS 1.2: every one is checked against its rules."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aibridged.core.focus import (
    COLUMNS,
    Charge,
    ChargePeriod,
    Prices,
    Seller,
    divided,
    rows,
)
from aibridged.core.prices import Rates, scaled
from tests.focus_rules import violations

RATES = Rates(input=3 * 10**9, output=15 * 10**9, cache_read=3 * 10**8, cache_write_5m=375 * 10**7)
PRICES = Prices(RATES)
SELLER = Seller("anthropic", "Anthropic")


def charge(**fields):
    return Charge(
        **{
            "start": datetime(2026, 12, 31, tzinfo=UTC),
            "provider_name": "anthropic",
            "model": "claude-sonnet-4-5",
            "initiator_id": "0198-ann",
            "username": "ann",
            "client": "Claude Code",
            "is_byok": False,
            "tier": "standard",
            "label": "exact",
            "price_version": "table-1",
            "requests": 3,
            "tokens": (1000, 200, 30_000, 4000),
            "cost": 30_000_000,
            **fields,
        }
    )


def written(one, period=ChargePeriod.DAY, prices=PRICES, groups=("ml", "staff")):
    """The rows as CSV has them."""
    found = []
    for values in rows(one, period, SELLER, prices, groups):
        row = dict(zip(COLUMNS, values, strict=True))
        for name, value in row.items():
            if isinstance(value, datetime):
                row[name] = f"{value:%Y-%m-%dT%H:%M:%SZ}"
            elif isinstance(value, dict):
                row[name] = json.dumps(value)
            elif value is None:
                row[name] = ""
        found.append(row)
    return found


CASES = {
    "all kinds": {},
    "one kind": {"tokens": (0, 7, 0, 0), "cost": 1},
    "no name and no client": {"username": None, "client": ""},
    "own key": {"is_byok": True},
    "own key of somebody without a name": {"is_byok": True, "username": None},
    "free": {"cost": 0},
    "batch": {"tier": "batch"},
    "very many": {"tokens": (10**12, 1, 0, 0), "cost": 10**15 + 1},
    "an estimate without tokens": {"tokens": (0, 0, 0, 0), "label": "estimated"},
}


@pytest.mark.parametrize("fields", CASES.values(), ids=CASES)
@pytest.mark.parametrize("period", ChargePeriod)
@pytest.mark.parametrize(
    "prices", [Prices(), Prices(RATES), Prices(Rates(input=1), RATES), Prices(Rates(), RATES)]
)
def test_every_row_keeps_the_rules(fields, period, prices):
    one = charge(**fields)
    found = written(one, period, prices)
    assert found
    for row in found:
        assert violations(row) == []
    assert sum(Decimal(row["BilledCost"]) for row in found) * 10**9 == one.cost
    of_tokens = [row for row in found if row["ConsumedUnit"] == "Tokens"]
    assert sum(int(row["ConsumedQuantity"]) for row in of_tokens) == sum(one.tokens)


def test_a_cost_is_divided_by_the_rates_of_the_kinds():
    found = {row["SkuMeter"]: row for row in written(charge())}
    assert {name: row["BilledCost"] for name, row in found.items()} == {
        "Input Tokens": "0.003",
        "Output Tokens": "0.003",
        "Cache Read Tokens": "0.009",
        "Cache Write Tokens": "0.015",
    }
    assert found["Output Tokens"]["ContractedUnitPrice"] == "15"
    assert found["Output Tokens"]["PricingUnit"] == "1000000 Tokens"
    assert found["Output Tokens"]["PricingQuantity"] == "0.0002"


def test_the_list_cost_is_that_of_the_public_table():
    half = scaled(RATES, dict.fromkeys(RATES.__struct_fields__, Decimal("0.5")))
    for row in written(charge(cost=15_000_000), prices=Prices(half, RATES)):
        assert Decimal(row["ListCost"]) == 2 * Decimal(row["ContractedCost"])
    free = Rates(input=0, output=0)
    found = written(charge(cost=0), prices=Prices(free, RATES))
    assert [row["ListCost"] for row in found] == ["0.003", "0.003", "0.009", "0.015"]
    assert {row["BilledCost"] for row in found} == {"0"}


def test_a_tier_has_prices_of_its_own():
    (standard, *_), (batch, *_) = written(charge()), written(charge(tier="batch"))
    assert standard["SkuId"] == batch["SkuId"] == "anthropic/claude-sonnet-4-5"
    assert standard["SkuPriceId"] == "anthropic/claude-sonnet-4-5/input-tokens"
    assert batch["SkuPriceId"] == "anthropic/claude-sonnet-4-5/input-tokens/batch"
    assert json.loads(batch["SkuPriceDetails"])["Tier"] == "batch"


def test_what_has_no_cost_has_no_row():
    assert written(charge(cost=None, label="unpriced")) == []
    assert written(charge(cost=0, tokens=(0, 0, 0, 0))) == []


def test_a_charge_period_lies_in_its_month():
    (row, *_) = written(charge())
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
        "2026-12-31T00:00:00Z",
        "2027-01-01T00:00:00Z",
    )
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
        "2026-12-01T00:00:00Z",
        "2027-01-01T00:00:00Z",
    )
    (row, *_) = written(
        charge(start=datetime(2026, 2, 28, 23, tzinfo=UTC)), period=ChargePeriod.HOUR
    )
    assert row["ChargePeriodEnd"] == row["BillingPeriodEnd"] == "2026-03-01T00:00:00Z"


def test_people_who_bring_their_key_are_another_account():
    (ours, *_), (own, *_) = written(charge()), written(charge(is_byok=True))
    assert (ours["BillingAccountId"], ours["BillingAccountType"]) == ("anthropic", "Organization")
    assert (own["BillingAccountId"], own["BillingAccountType"]) == (
        "anthropic/byok/0198-ann",
        "User",
    )
    assert json.loads(ours["Tags"]) == {
        "aibridged/user": "ann",
        "aibridged/groups": "ml,staff",
        "aibridged/client": "Claude Code",
        "aibridged/model": "claude-sonnet-4-5",
    }


@pytest.mark.parametrize("amount", [0, 1, 2, 7, 10**9 + 1])
@pytest.mark.parametrize("weights", [(1,), (1, 1, 1), (3, 0, 5), (10**30, 1)])
def test_parts_are_whole_and_their_sum_is_exact(amount, weights):
    parts = divided(amount, weights)
    assert sum(parts) == amount
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("BilledCost", ""),
        ("BilledCost", "1e-9"),
        ("BilledCost", "$1"),
        ("BillingCurrency", "usd"),
        ("ChargePeriodStart", "2026-12-31"),
        ("ChargePeriodEnd", "2026-12-31T00:00:00Z"),
        ("ServiceCategory", "AI"),
        ("ConsumedQuantity", "0"),
        ("Tags", "{}]"),
        ("Tags", '{"user": "ann"}'),
        ("Tags", '{"aibridged/a": []}'),
        ("SubAccountName", "N/A"),
        ("ListUnitPrice", "4"),
        ("ChargeClass", "New"),
    ],
)
def test_a_broken_rule_is_seen(column, value):
    (row, *_) = written(charge())
    assert violations(row | {column: value}) != []
    assert violations({name: v for name, v in row.items() if name != column}) != []
