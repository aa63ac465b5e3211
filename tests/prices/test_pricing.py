"""The price book in use: there before it is needed, and replaced while it is used."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from loguru import logger

from aibridged.config.options import PriceSettings, ProviderSettings, Settings
from aibridged.core.cost_notes import Asked
from aibridged.core.prices import NOT_COMPUTED, UNPRICED, Cost, Label, Priced, Reason
from aibridged.prices import pricing as module
from aibridged.prices.pricing import Pricing
from aibridged.prices.table import FILE, installed_table, store
from aibridged.wire.facts import TokenUsage

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
ANTHROPIC = ProviderSettings("anthropic", "anthropic", None, "https://api.anthropic.com")
SETTINGS = replace(Settings(), providers=(ANTHROPIC,))
USED = TokenUsage(input=1000, output=10)
OPUS = "claude-opus-4-8"


@pytest.fixture
def warnings():
    lines = []
    sink = logger.add(lambda line: lines.append(line.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


@pytest.fixture
async def pricing(tmp_path):
    made = Pricing(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def loaded(pricing):
    pricing.configure(SETTINGS)
    await pricing.loaded()
    return pricing


def own(**rates):
    return replace(SETTINGS, prices=(PriceSettings(**rates),))


async def test_nothing_is_priced_before_there_is_a_book(pricing):
    assert pricing.price("anthropic", (OPUS,), AT, USED) == NOT_COMPUTED
    assert pricing.card("anthropic", OPUS, AT) is None


async def test_the_table_is_read_once_a_request_needs_it(pricing, monkeypatch):
    monkeypatch.setattr(module, "AHEAD_S", 60)
    pricing.configure(SETTINGS)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not pricing._is_needed.is_set()
    assert pricing.book is None
    await pricing.loaded()
    assert pricing.book is not None


async def test_it_is_read_soon_though_no_request_needs_it(pricing, monkeypatch):
    monkeypatch.setattr(module, "AHEAD_S", 0)
    pricing.configure(SETTINGS)
    await pricing._tasks.idle()
    assert pricing.book is not None


async def test_a_usage_has_the_price_of_the_first_name_that_has_one(loaded):
    source = installed_table().source
    exact = Cost(5_250_000, Label.EXACT)
    assert loaded.price("anthropic", (OPUS, "other"), AT, USED) == Priced(exact, source)
    by_answer = loaded.price("anthropic", ("my-alias", OPUS), AT, USED)
    assert by_answer == Priced(exact, source, {"priced_model": OPUS})
    assert loaded.price("anthropic", ("my-alias", None), AT, USED) == Priced(UNPRICED)
    assert loaded.price("anthropic", (None, OPUS), AT, USED) == Priced(
        exact, source, {"priced_model": OPUS}
    )


async def test_own_rates_count_at_once_and_are_named(loaded):
    before = loaded.book
    loaded.configure(own(input=Decimal(1), output=Decimal(2)))
    assert loaded.book is not before  # nothing was awaited
    priced = loaded.price("anthropic", (OPUS,), AT, USED)
    assert priced.cost == Cost(1_020_000, Label.EXACT)
    assert priced.source == f"prices[0] over {installed_table().source}"
    priced = loaded.price("anthropic", ("unheard-of",), AT, USED)
    assert priced == Priced(Cost(1_020_000, Label.EXACT), "prices[0]")


async def test_a_table_that_was_updated_is_used_after_a_reload(loaded, tmp_path, published):
    store(tmp_path, published(), AT)
    loaded.configure(own(model="claude-new-1", multiplier=Decimal(2)))
    assert loaded.price("anthropic", (OPUS,), AT, USED).cost == Cost(5_250_000, Label.EXACT)
    await loaded._tasks.idle()
    assert loaded.price("anthropic", (OPUS,), AT, USED) == Priced(UNPRICED)
    priced = loaded.price("anthropic", ("claude-new-1",), AT, USED)
    assert priced.cost == Cost(5_200_000, Label.EXACT)
    assert len(priced.source) <= 64


async def test_a_table_that_cannot_be_read_is_told(pricing, tmp_path, warnings):
    (tmp_path / FILE).write_text("nonsense")
    pricing.configure(SETTINGS)
    await pricing.loaded()
    await pricing._tasks.idle()
    assert pricing.price("anthropic", (OPUS,), AT, USED).cost == Cost(5_250_000, Label.EXACT)
    (warning,) = warnings
    assert "is no table of prices: the installed table is used" in warning


async def test_requests_wait_no_longer_than_they_must(pricing, monkeypatch):
    """The disk hangs."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    async with pricing._reading:
        pricing.configure(SETTINGS)
        await pricing.loaded()
        assert pricing.book is None
        async with asyncio.timeout(0.001):
            await pricing.loaded()  # it isn't waited for once more
    await pricing._tasks.idle()
    assert pricing.price("anthropic", (OPUS,), AT, USED).cost.label is Label.EXACT


async def test_prices_of_another_maker_are_a_guess(loaded):
    local = ProviderSettings("anthropic", "local", None, "http://127.0.0.1:9")
    loaded.configure(replace(Settings(), providers=(local,)))
    cost = Cost(5_250_000, Label.ESTIMATED, (Reason.PROVIDER,))
    assert loaded.price("local", (OPUS,), AT, USED).cost == cost


@pytest.mark.parametrize(
    ("told", "asked", "nanos", "notes"),
    [
        # By the response, whatever was asked for.
        (("standard", "fast"), (None, None), 10_500_000, {}),
        (("standard", None), ("priority", None), 5_250_000, {}),
        (("batch", None), ("priority", "fast"), 2_625_000, {}),
        (("standard", "standard"), (None, "fast"), 5_250_000, {}),
        # By the request, where the response tells nothing of it.
        ((None, None), ("auto", None), 5_250_000, {}),
        ((None, None), ("standard_only", None), 5_250_000, {}),
        (("standard", None), (None, "fast"), 10_500_000, {"asked_speed": "fast"}),
        (("standard", None), ("priority", "fast"), 10_500_000, {"asked_speed": "fast"}),
        ((None, None), ("batch", None), 2_625_000, {"asked_service_tier": "batch"}),
    ],
)
async def test_the_tier_is_the_one_that_is_told_or_else_asked_for(
    loaded, told, asked, nanos, notes
):
    used = msgspec.structs.replace(USED, service_tier=told[0], speed=told[1])
    priced = loaded.price("anthropic", (OPUS,), AT, used, Asked(*asked))
    reasons = (Reason.TIER,) if notes else ()
    assert priced.cost == Cost(nanos, Label.ESTIMATED if notes else Label.EXACT, reasons)
    assert priced.notes == notes


async def test_what_has_no_price_costs_the_rate_for_that_if_there_is_one(loaded):
    loaded.configure(replace(SETTINGS, unpriced=Decimal(15)))
    priced = loaded.price("anthropic", ("unheard-of",), AT, TokenUsage(100, 10, 20, 3))
    cost = Cost(133 * 15_000, Label.ESTIMATED, (Reason.MODEL,))
    assert priced == Priced(cost, "unpriced at 15")
    assert loaded.price("anthropic", (OPUS,), AT, USED).cost.label is Label.EXACT
    # An own rate that lacks what was used is no price, either.
    lacking = PriceSettings(model="unheard-of", input=Decimal(1))
    loaded.configure(replace(SETTINGS, unpriced=Decimal(15), prices=(lacking,)))
    assert loaded.price("anthropic", ("unheard-of",), AT, USED).cost.amount == 1010 * 15_000
    for word in ("", "allow", "deny"):
        loaded.configure(replace(SETTINGS, unpriced=word))
        assert loaded.price("anthropic", ("unheard-of",), AT, USED) == Priced(UNPRICED)
