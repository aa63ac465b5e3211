"""Arithmetic of costs: one rounding, labels with their reasons, and nothing unknown is free."""

from decimal import Decimal

import pytest

from aibridged.core.prices import (
    BATCH,
    FAST,
    MAX_AMOUNT,
    PRIORITY,
    STANDARD,
    Cost,
    Label,
    RateCard,
    Rates,
    Reason,
    Step,
    Tier,
    cost,
    in_dollars,
    rate,
    scaled,
    tier_of,
    total,
)
from aibridged.wire.facts import TokenUsage


def rates(**dollars: str) -> Rates:
    return Rates(**{name: rate(Decimal(text)) for name, text in dollars.items()})


def card(*steps: Step, guessed: bool = False, **tiers: Tier) -> RateCard:
    return RateCard("p", "m", "v", {STANDARD: Tier(steps), **tiers}, is_guessed=guessed)


PLAIN = card(Step(-1, rates(input="3", output="15", cache_read="0.3")))


def test_an_amount_is_rounded_once_and_half_up() -> None:
    """Half a nano-dollar of each of two parts is one."""
    tiny = card(Step(-1, rates(input="0.0005", output="0.0005")))
    assert cost(TokenUsage(input=1), tiny).amount == 1
    assert cost(TokenUsage(input=1, output=1), tiny).amount == 1
    assert cost(TokenUsage(input=2, output=1), tiny).amount == 2
    below = card(Step(-1, rates(input="0.000499999")))
    assert cost(TokenUsage(input=1), below).amount == 0


def test_an_amount_is_exact_where_a_float_is_not() -> None:
    """A large count times a rate with all its digits."""
    found = cost(TokenUsage(input=2**32 - 1), card(Step(-1, rates(input="1.234567891"))))
    assert found.amount == int(Decimal(2**32 - 1) * Decimal("1234.567891") + Decimal("0.5"))
    assert isinstance(found.amount, int)


def test_an_amount_can_be_summed_whatever_a_provider_counts() -> None:
    found = cost(TokenUsage(input=2**40), card(Step(-1, rates(input="1000000"))))
    assert found.amount == MAX_AMOUNT
    assert MAX_AMOUNT * 900_000 < 2**63


def test_nothing_used_costs_nothing() -> None:
    assert cost(TokenUsage(), PLAIN) == Cost(0, Label.EXACT)


@pytest.mark.parametrize(
    ("usage", "of"),
    [
        (TokenUsage(), None),
        (TokenUsage(input=1), card(Step(-1, rates(output="1")))),
        (TokenUsage(cache_read=1), card(Step(-1, rates(output="1", cache_read="1")))),
        (TokenUsage(cache_write=1), card(Step(-1, Rates()))),
        (TokenUsage(input=1, output=1), card(Step(-1, rates(input="1")))),
    ],
)
def test_what_has_no_price_is_unpriced_and_not_free(usage: TokenUsage, of: RateCard | None) -> None:
    assert cost(usage, of) == Cost(None, Label.UNPRICED, (Reason.MODEL,))


def test_what_has_no_price_of_its_own_is_priced_as_what_it_is_part_of() -> None:
    of = card(Step(-1, rates(input="2", output="4")))
    usage = TokenUsage(1, 1, 1, 1, {"output_reasoning": 1})
    assert cost(usage, of) == Cost(2000 * 3 + 4000, Label.EXACT)


def test_reasoning_with_a_price_of_its_own_is_taken_out_of_the_output() -> None:
    of = card(Step(-1, rates(input="1", output="8", output_reasoning="3")))
    usage = TokenUsage(output=10, extra={"completion_reasoning": 4})
    assert cost(usage, of).amount == 6 * 8000 + 4 * 3000
    # More thought than generated is no reason for less than nothing.
    usage = TokenUsage(output=10, extra={"completion_reasoning": 400})
    assert cost(usage, of).amount == 10 * 3000


def test_details_that_exceed_their_sum_count_no_more_than_it() -> None:
    of = card(
        Step(-1, rates(input="1", output="1", input_audio="5", output_audio="7", input_image="3"))
    )
    usage = TokenUsage(10, 10, extra={"prompt_audio": 99, "prompt_image": 99})
    assert cost(usage, of).amount == (10 * 5 + 10) * 1000
    usage = TokenUsage(0, 10, extra={"completion_audio": 99})
    assert cost(usage, of).amount == 10 * 7000
    write = TokenUsage(0, 0, 0, 5, {"cache_ephemeral_1h_input": 99})
    written = card(Step(-1, rates(input="1", cache_write_5m="2", cache_write_1h="3")))
    assert cost(write, written).amount == 5 * 3000


def test_writes_for_an_hour_without_a_price_are_an_estimate() -> None:
    of = card(Step(-1, rates(input="5", output="1", cache_write_5m="6.25")))
    usage = TokenUsage(0, 0, 0, 10, {"cache_ephemeral_1h_input": 4})
    assert cost(usage, of) == Cost(6 * 6250 + 4 * 10_000, Label.ESTIMATED, (Reason.CACHE_WRITE,))


def test_the_length_counts_what_was_cached_and_only_more_than_the_bound_is_more() -> None:
    of = card(
        Step(-1, rates(input="1", output="1")),
        Step(100, rates(input="2", output="3")),
        Step(200, rates(input="4", output="5")),
    )
    assert cost(TokenUsage(50, 1, 30, 20), of).amount == 101_000
    assert cost(TokenUsage(51, 1, 30, 20), of).amount == 101 * 2000 + 3000
    assert cost(TokenUsage(200, 1), of).amount == 200 * 2000 + 3000
    assert cost(TokenUsage(201, 1), of).amount == 201 * 4000 + 5000
    # What was generated doesn't make a request longer.
    assert cost(TokenUsage(100, 500), of).amount == 600_000


def test_a_tier_without_a_price_is_estimated_by_the_standard_one() -> None:
    of = card(
        Step(-1, rates(input="2", output="2")),
        batch=Tier((Step(-1, rates(input="1", output="1")),)),
        fast=Tier((Step(-1, rates(input="9", output="9"), is_derived=True),)),
    )
    usage = TokenUsage(input=1)
    assert cost(usage, of, BATCH) == Cost(1000, Label.EXACT)
    assert cost(usage, of, PRIORITY) == Cost(2000, Label.ESTIMATED, (Reason.TIER,))
    assert cost(usage, of, FAST) == Cost(9000, Label.ESTIMATED, (Reason.TIER,))
    assert cost(usage, of, BATCH, is_tier_told=False).reasons == (Reason.TIER,)


def test_searches_and_requests_cost_by_the_thousand() -> None:
    of = card(Step(-1, rates(input="1", output="1", web_search="10000", request="5000")))
    usage = TokenUsage(input=1, extra={"web_search_requests": 2, "web_fetch_requests": 9})
    assert cost(usage, of, web_searches=1).amount == 1000 + 3 * 10_000_000 + 5_000_000


def test_a_tool_without_a_price_is_told() -> None:
    found = cost(TokenUsage(input=1), PLAIN, web_searches=1)
    assert found == Cost(3000, Label.ESTIMATED, (Reason.TOOL,))


def test_all_reasons_are_told() -> None:
    of = card(Step(-1, rates(input="1", output="1")), guessed=True)
    usage = TokenUsage(1, extra={"prompt_audio": 1}, partial=True)
    assert cost(usage, of, "scale").reasons == (
        Reason.MODALITY,
        Reason.PARTIAL,
        Reason.PROVIDER,
        Reason.TIER,
    )


@pytest.mark.parametrize(
    ("service_tier", "speed", "tier"),
    [
        (None, None, STANDARD),
        ("default", None, STANDARD),
        ("auto", "standard", STANDARD),
        ("standard", "fast", FAST),
        ("fast", None, FAST),
        ("batch", None, BATCH),
        ("priority", None, PRIORITY),
        ("scale", None, "scale"),
    ],
)
def test_tiers_go_by_the_providers_words(
    service_tier: str | None, speed: str | None, tier: str
) -> None:
    assert tier_of(service_tier, speed) == tier


def test_a_total_is_as_sure_as_its_parts() -> None:
    exact, guess = Cost(3, Label.EXACT), Cost(4, Label.ESTIMATED, (Reason.TIER,))
    assert total([]) == Cost(0, Label.EXACT)
    assert total([exact, exact]) == Cost(6, Label.EXACT)
    assert total([exact, guess]) == Cost(7, Label.ESTIMATED, (Reason.TIER,))
    none = Cost(None, Label.UNPRICED, (Reason.MODEL,))
    # What has a price is counted, and nobody takes it for all.
    assert total([guess, none, exact]) == Cost(7, Label.UNPRICED, (Reason.MODEL, Reason.TIER))
    assert total([none, none]) == Cost(None, Label.UNPRICED, (Reason.MODEL,))


def test_rates_are_scaled_each_by_its_own_factor() -> None:
    by = dict.fromkeys(Rates.__struct_fields__, Decimal("0.85")) | {"output": Decimal("0.5")}
    assert scaled(rates(input="2.5", output="15"), by) == rates(input="2.125", output="7.5")
    assert in_dollars(rate(Decimal("0.0833333333333333"))) == Decimal("0.083333333")
