"""The bill of an interception: every usage of every turn is on it once."""

from datetime import UTC, datetime

import pytest

from aibridged.config.options import Settings
from aibridged.core.prices import FREE, Cost, Label, Priced, Reason
from aibridged.pipeline.bill import Bill, cost_fields
from aibridged.prices.pricing import Pricing
from aibridged.wire.facts import ResponseFacts, TokenUsage

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPUS, HAIKU = "claude-opus-4-8", "claude-haiku-4-5"


@pytest.fixture
async def pricing(tmp_path):
    made = Pricing(tmp_path)
    made.configure(Settings())
    await made.loaded()
    yield made
    await made.close()


async def test_nothing_used_is_free(pricing):
    assert Bill(pricing, "anthropic", OPUS, AT).total == FREE


async def test_turns_and_other_models_are_added_up(pricing):
    bill = Bill(pricing, "anthropic", OPUS, AT)
    advisor = TokenUsage(output=1000, model=HAIKU, iteration="advisor_message")
    first = ResponseFacts(usage=TokenUsage(input=1000))
    price = bill.of(first)
    assert price(first.usage).cost == Cost(5_000_000, Label.EXACT)
    assert price(advisor).cost == Cost(5_000_000, Label.EXACT)
    broken = TokenUsage(output=1000, partial=True)
    bill.of(ResponseFacts())(broken)
    assert bill.total == Cost(35_000_000, Label.ESTIMATED, (Reason.PARTIAL,))
    assert cost_fields(bill.total) == {"cost_nanos": 35_000_000, "cost_label": "estimated"}


async def test_an_alias_has_the_price_of_what_has_responded(pricing):
    bill = Bill(pricing, "anthropic", "my-alias", AT)
    priced = bill.of(ResponseFacts(model=OPUS))(TokenUsage(input=1000))
    assert (priced.cost, priced.model) == (Cost(5_000_000, Label.EXACT), OPUS)


async def test_what_cannot_be_computed_is_no_zero(tmp_path):
    bill = Bill(Pricing(tmp_path), "anthropic", OPUS, AT)
    assert bill.of(ResponseFacts())(TokenUsage(input=1)) == Priced(None)
    assert bill.total is None
    assert cost_fields(None) == {}
