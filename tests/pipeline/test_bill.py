"""The bill of an interception: every usage of every turn is on it once."""

from datetime import UTC, datetime

import pytest

from aibridged.config.options import Settings
from aibridged.core.prices import FREE, Cost, Label, Priced, Reason
from aibridged.pipeline.bill import Bill, Guess, guessed
from aibridged.prices.pricing import Pricing
from aibridged.wire.facts import ResponseFacts, TokenUsage, WireApi

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


async def test_an_alias_has_the_price_of_what_has_responded(pricing):
    bill = Bill(pricing, "anthropic", "my-alias", AT)
    priced = bill.of(ResponseFacts(model=OPUS))(TokenUsage(input=1000))
    exact = Cost(5_000_000, Label.EXACT)
    assert (priced.cost, priced.notes) == (exact, {"priced_model": OPUS})


async def test_what_cannot_be_computed_is_no_zero(tmp_path):
    bill = Bill(Pricing(tmp_path), "anthropic", OPUS, AT)
    assert bill.of(ResponseFacts())(TokenUsage(input=1)) == Priced(None)
    assert bill.total is None


async def test_what_a_provider_did_not_tell_is_guessed_and_noted(pricing):
    bill = Bill(pricing, "anthropic", OPUS, AT)
    nothing = ResponseFacts(usage=TokenUsage(partial=True))
    priced = bill.of(nothing, Guess(1000, 100))(nothing.usage)
    cost = Cost(5_000_000 + 2_500_000, Label.ESTIMATED, (Reason.PARTIAL,))
    notes = {"estimated_input": 1000, "estimated_output": 100}
    assert priced == Priced(cost, priced.source, notes)


async def test_the_last_figures_count_where_they_are_not_too_few(pricing):
    bill = Bill(pricing, "anthropic", OPUS, AT)
    used = TokenUsage(cache_read=1000, output=7, partial=True)
    broken = ResponseFacts(usage=used)
    priced = bill.of(broken, Guess(9999, 100))(used)
    assert priced.cost.amount == 500_000 + 2_500_000
    assert priced.notes == {"estimated_output": 100}
    priced = bill.of(broken, Guess(9999, 6))(used)
    assert priced.cost.amount == 500_000 + 175_000
    assert priced.notes == {}
    # A guess is of the response, and not of what other models did beside it.
    advice = TokenUsage(output=1, model=HAIKU)
    assert bill.of(broken, Guess(9999, 100))(advice).cost.amount == 5000


@pytest.mark.parametrize(
    ("api", "is_stream", "output"),
    [
        (WireApi.MESSAGES, True, 100),
        (WireApi.RESPONSES, True, 12),
        (WireApi.CHAT_COMPLETIONS, True, 12),
        (WireApi.CHAT_COMPLETIONS, False, 750),
        (WireApi.EMBEDDINGS, False, 0),
    ],
)
def test_tokens_are_guessed_by_the_sizes(api, is_stream, output):
    assert guessed(4003, 3000, api, is_stream=is_stream) == Guess(1000, output)


def test_a_guess_has_a_bound():
    assert guessed(2**40, 2**40) == Guess(1_000_000, 1_000_000)
    assert guessed(400) == Guess(100, 0)
