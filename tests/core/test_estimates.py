"""What a request is likely to cost at the worst."""

from decimal import Decimal

import msgspec
import pytest

from aibridged.core import estimates
from aibridged.core.estimates import (
    FIRST_OUTPUT,
    MAX_INPUT,
    MAX_OUTPUT,
    UNKNOWN_CONTEXT,
    Ask,
    Estimates,
    Model,
    Session,
)
from aibridged.core.prices import PRIORITY, STANDARD, RateCard, Rates, Step, Tier, rate
from aibridged.wire.facts import TokenUsage


def card(**dollars):
    rates = Rates(**{name: rate(Decimal(text)) for name, text in dollars.items()})
    return RateCard("p", "m", "v", {STANDARD: Tier((Step(-1, rates),))})


CARD = card(input="1000", output="1000000", cache_read="100", cache_write_5m="1250")
"""In nano-dollars: input 1 000 000 a token, output a thousand times that."""
INPUT, OUTPUT = 10**6, 10**9
MODEL = Model("anthropic", "m")
SESSION = Session("u1", "s1", MODEL)


def test_a_first_request_is_taken_to_write_to_the_cache():
    made = Estimates()
    found = made.worst(CARD, Ask(MODEL, SESSION, 400, 10))
    assert found == 100 * INPUT * 125 // 100 + 10 * OUTPUT
    dear = card(input="2000", output="1000000", cache_write_5m="1250")
    assert made.worst(dear, Ask(MODEL, SESSION, 401, 10)) == 101 * 2 * INPUT + 10 * OUTPUT


@pytest.mark.parametrize(
    ("max_tokens", "choices", "output"),
    [
        (None, 1, FIRST_OUTPUT),
        (10, 1, 10),
        (0, 1, 0),
        (10**6, 1, FIRST_OUTPUT),
        (10, 3, 30),
        (10, 10**6, 1280),
    ],
)
def test_the_output_is_what_is_allowed_or_what_is_usual(max_tokens, choices, output):
    assert Estimates().worst(CARD, Ask(MODEL, None, 0, max_tokens, choices)) == output * OUTPUT


def test_a_session_is_known_by_what_its_last_request_has_cost():
    made = Estimates()
    cached = TokenUsage(input=10, cache_read=90, output=5)
    made.learn(CARD, Ask(MODEL, SESSION, 400), cached)
    assert made.worst(CARD, Ask(MODEL, SESSION, 800, 0)) == 2 * (10 * INPUT + 9 * INPUT)
    other = msgspec.structs.replace(SESSION, user_id="u2")
    assert made.worst(CARD, Ask(MODEL, other, 800, 0)) == 200 * INPUT * 125 // 100
    assert made.worst(CARD, Ask(MODEL, None, 800, 0)) == 200 * INPUT * 125 // 100


def test_what_is_usual_is_the_most_of_late():
    made = Estimates()

    def usual():
        return made.worst(CARD, Ask(MODEL, None, 0, None)) // OUTPUT

    made.learn(CARD, Ask(MODEL, None, 0), TokenUsage(output=9000))
    assert usual() == 9000
    for _ in range(20):
        made.learn(CARD, Ask(MODEL, None, 0), TokenUsage(output=100))
    assert 4500 < usual() < 6000
    for _ in range(300):
        made.learn(CARD, Ask(MODEL, None, 0), TokenUsage(output=100))
    assert usual() == FIRST_OUTPUT  # whoever asks for little can't have it forgotten
    assert made.worst(CARD, Ask(Model("p", "other"), None, 0, None)) == FIRST_OUTPUT * OUTPUT


def test_no_response_makes_a_model_unaffordable_for_good():
    made, cheap = Estimates(), card(input="1", output="1")
    made.learn(cheap, Ask(MODEL, None, 0), TokenUsage(output=2**40))
    assert made.worst(cheap, Ask(MODEL, None, 0)) == MAX_OUTPUT * 1000
    for _ in range(10):
        made.relax(MODEL)
    assert FIRST_OUTPUT <= made.worst(cheap, Ask(MODEL, None, 0)) // 1000 < FIRST_OUTPUT * 1.1


def test_a_session_is_never_taken_to_cost_less_than_reads_from_the_cache():
    made = Estimates()
    blanks, full = 30_000_000, 4_000_000
    made.learn(CARD, Ask(MODEL, SESSION, blanks), TokenUsage(input=10, output=5))
    assert made.worst(CARD, Ask(MODEL, SESSION, full, 0)) == full // 4 * INPUT // 10


def test_what_the_provider_has_stored_is_input_too():
    made = Estimates()
    used = TokenUsage(input=50_000, cache_read=300_000, cache_write=9_000, output=1_000)
    made.learn(CARD, Ask(MODEL, SESSION, 400), used, ("resp_1", None))

    def given(continues):
        ask = Ask(MODEL, SESSION, 40, 0, continues=continues)
        return made.worst(CARD, ask) * 100 // (INPUT * 125)

    assert given("resp_1") == 360_010
    assert given("resp_2") == UNKNOWN_CONTEXT + 10


def test_a_tier_that_is_asked_for_is_reserved_if_it_is_dearer():
    tiers = {"standard": "10", PRIORITY: "25", "flex": "5"}
    rates = {name: rate(Decimal(dollars)) for name, dollars in tiers.items()}
    steps = {
        name: Tier((Step(-1, Rates(input=each, output=each)),)) for name, each in rates.items()
    }
    tiered = RateCard("p", "m", "v", steps)

    def worst(tier):
        return Estimates().worst(tiered, Ask(Model("p", "m", tier), None, 0, 1))

    assert worst(PRIORITY) == 25_000
    assert worst(STANDARD) == worst("flex") == worst("unheard-of") == 10_000


def test_a_long_request_has_the_rates_of_long_ones():
    short, long, dear = (Rates(input=rate(Decimal(each)), output=0) for each in "123")
    steps = {STANDARD: Tier((Step(-1, short), Step(10, long))), PRIORITY: Tier((Step(-1, dear),))}
    stepped, made = RateCard("p", "m", "v", steps), Estimates()

    def worst(tokens, tier=STANDARD):
        return made.worst(stepped, Ask(Model("p", "m", tier), None, 4 * tokens, 0))

    assert [worst(10), worst(11), worst(10)] == [10 * 1000, 11 * 2000, 10 * 1000]
    assert [worst(10, PRIORITY), worst(11, PRIORITY)] == [10 * 3000, 11 * 3000]


def test_new_prices_count_at_once():
    made, ask = Estimates(), Ask(MODEL, None, 4, 0)
    found = [made.worst(card(input=dollars, output="1"), ask) for dollars in ("1", "2", "1")]
    assert found == [1000, 2000, 1000]


def test_a_body_holds_no_more_tokens_than_a_model_takes():
    found = Estimates().worst(card(input="1", output="1"), Ask(MODEL, None, 10**9, 0))
    assert found == MAX_INPUT * 1000


@pytest.mark.parametrize("missing", ["input", "output"])
def test_without_a_price_there_is_no_estimate(missing):
    other = "output" if missing == "input" else "input"
    made, lacking = Estimates(), card(**{other: "1"})
    assert made.worst(lacking, Ask(MODEL, SESSION, 400, 10)) is None
    made.learn(lacking, Ask(MODEL, SESSION, 400), TokenUsage(input=1, output=5))
    assert made.worst(lacking, Ask(MODEL, SESSION, 400, 10)) is None


def test_only_so_many_sessions_are_remembered(monkeypatch):
    monkeypatch.setattr(estimates, "MAX_SESSIONS", 10)
    made = Estimates()
    for number in range(50):
        model = Model("p", f"m{number}")
        session = Session("u", "s", model)
        made.learn(
            CARD,
            Ask(model, session, 4),
            TokenUsage(input=1, output=FIRST_OUTPUT + 1),
            (f"r{number}",),
        )
    assert len(made._sessions) == len(made._outputs) == len(made._contexts) == 10
    assert len(made._short) == 10
