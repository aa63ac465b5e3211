"""Rate cards: whose prices, at which time, and how the own rates change them."""

import time as clock_time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from aibridged.config.options import PriceSettings, ProviderSettings, ProviderType
from aibridged.core.prices import BATCH, FAST, STANDARD, Label, RateCard, Reason, cost, in_dollars
from aibridged.prices import book as book_module
from aibridged.prices.book import MAX_CARDS, MAX_NAME, PriceBook
from aibridged.prices.table import installed_table, read_table
from aibridged.wire.facts import TokenUsage

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPUS = "claude-opus-4-8"


def provider(type: ProviderType, name: str, base_url: str) -> ProviderSettings:
    return ProviderSettings(type, name, None, base_url)


ANTHROPIC = provider("anthropic", "anthropic", "https://api.anthropic.com")
LOCAL = provider("openai", "local", "http://127.0.0.1:8000/v1")


def made(*own: PriceSettings, providers: tuple[ProviderSettings, ...] = (ANTHROPIC, LOCAL)):
    return PriceBook(installed_table(), own, providers)


def dollars(card: RateCard | None, name: str = "input", tier: str = STANDARD, step: int = 0) -> str:
    assert card is not None
    rate = getattr(card.tiers[tier].steps[step].rates, name)
    return f"{in_dollars(rate).normalize():f}"


def price(**fields: str) -> PriceSettings:
    return PriceSettings(
        **{
            name: text if name in ("provider", "model") else Decimal(text)
            for name, text in fields.items()
        }
    )


@pytest.mark.parametrize(
    ("of", "model", "table_provider", "guessed"),
    [
        (ANTHROPIC, OPUS, "anthropic", False),
        (
            provider("openai", "a", "https://x.openai.azure.com/openai/v1"),
            "gpt-5.2",
            "azure",
            False,
        ),
        (provider("anthropic", "v", "https://aiplatform.googleapis.com/v1"), OPUS, "google", False),
        (
            provider("anthropic", "b", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
            "eu.anthropic.claude-opus-4-8",
            "aws",
            False,
        ),
        (provider("openai", "d", "https://api.deepseek.com"), "deepseek-chat", "deepseek", False),
        (
            provider("copilot", "c", "https://api.githubcopilot.com"),
            "gpt-5.4",
            "github-copilot",
            False,
        ),
        (LOCAL, "gpt-5.2", "openai", True),
        (provider("anthropic", "p", "https://llm.example.com"), OPUS, "anthropic", True),
    ],
)
def test_the_address_tells_whose_prices_they_are_and_else_the_api(
    of: ProviderSettings, model: str, table_provider: str, guessed: bool
) -> None:
    card = made(providers=(of,)).card(of.name, model, AT)
    assert card is not None
    assert (card.provider, card.is_guessed) == (table_provider, guessed)
    assert cost(TokenUsage(1), card).label is (Label.ESTIMATED if guessed else Label.EXACT)


def test_what_nobody_knows_has_no_card() -> None:
    book = made()
    assert book.card("anthropic", "claude-of-the-future", AT) is None
    assert book.card("nobody", OPUS, AT) is None
    assert book.card("anthropic", OPUS + "x" * MAX_NAME, AT) is None


def test_a_price_counts_from_its_day_on_in_utc() -> None:
    """Anthropic charged for long requests to Opus 4.6 until 2026-03-13."""
    book = made()
    for at, steps in (
        (datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC), 2),
        (datetime(2026, 3, 13, tzinfo=UTC), 1),
        (datetime.fromisoformat("2026-03-13T01:00+02:00"), 2),
    ):
        card = book.card("anthropic", "claude-opus-4-6", at)
        assert card is not None
        assert len(card.tiers[STANDARD].steps) == steps


def test_a_price_by_the_time_of_day_changes_within_the_day() -> None:
    """DeepSeek's V4 Flash is dearer from 01:00 to 04:00 and from 06:00 to 10:00, UTC."""
    book = made()
    at = [AT.replace(hour=hour) for hour in (0, 1, 3, 4, 5, 6, 9, 10, 23)]
    found = [dollars(book.card("deepseek", "deepseek-flash", each)) for each in at]
    low, high = found[0], found[1]
    assert Decimal(low) < Decimal(high)
    assert found == [low, high, high, low, low, high, high, low, low]


def test_own_rates_come_before_the_tables_and_say_so() -> None:
    book = made(price(provider="anthropic", model="claude-opus-*", input="4.5", output="20"))
    card = book.card("anthropic", OPUS, AT)
    assert card is not None
    assert card.own == 0
    assert card.version == book.table.version
    found = [dollars(card, name) for name in ("input", "output", "cache_read", "web_search")]
    assert found == ["4.5", "20", "0.45", "10000"]
    assert cost(TokenUsage(1, 1, 1), card).label is Label.EXACT
    other = book.card("anthropic", "claude-sonnet-4-6", AT)
    assert other is not None
    assert other.own is None


def test_tiers_keep_their_proportions_to_own_rates_and_are_estimates() -> None:
    card = made(price(model=OPUS, input="4", output="25")).card("anthropic", OPUS, AT)
    assert (dollars(card, tier=BATCH), dollars(card, tier=FAST)) == ("2", "8")
    assert cost(TokenUsage(1), card, BATCH).reasons == (Reason.TIER,)
    long = made(price(model="*", input="1.5")).card("anthropic", "claude-sonnet-4-5", AT)
    assert dollars(long, step=1) == "3"
    assert cost(TokenUsage(200_001), long).reasons == (Reason.TIER,)
    assert cost(TokenUsage(200_000), long).reasons == ()


def test_a_multiplier_is_for_all_prices_and_an_agreement() -> None:
    card = made(price(provider="anthropic", multiplier="0.8")).card("anthropic", OPUS, AT)
    assert [dollars(card, name) for name in ("input", "cache_write_1h", "web_search")] == [
        "4",
        "8",
        "8000",
    ]
    assert dollars(card, tier=BATCH) == "2"
    assert cost(TokenUsage(1), card, BATCH).label is Label.EXACT


def test_a_multiplier_is_for_what_the_entry_leaves_out() -> None:
    card = made(price(input="3", multiplier="0.5")).card("anthropic", OPUS, AT)
    assert (dollars(card), dollars(card, "output")) == ("3", "12.5")


def test_the_first_entry_that_fits_and_has_begun_counts() -> None:
    later = PriceSettings(model="claude-*", input=Decimal(1), start=date(2026, 12, 1))
    book = made(later, price(provider="local", input="2"), price(model=OPUS, input="3"))
    assert dollars(book.card("anthropic", OPUS, AT)) == "3"
    assert dollars(book.card("anthropic", OPUS, AT.replace(month=12, day=1))) == "1"
    assert dollars(book.card("local", OPUS, AT)) == "2"


def test_a_model_that_only_the_own_rates_know_has_their_price() -> None:
    book = made(price(provider="local", model="qwen*", input="0", output="0.2"))
    card = book.card("local", "qwen3", AT)
    assert card is not None
    assert (card.version, card.own, card.is_guessed) == (None, 0, False)
    assert cost(TokenUsage(5, 5), card) == (1000, Label.EXACT, ())
    assert made(price(multiplier="0.5")).card("local", "qwen3", AT) is None


def test_parts_keep_their_proportion_to_the_own_rate_unless_they_have_one() -> None:
    free = made(price(provider="local", input="0", output="0")).card("local", "gpt-5.2", AT)
    assert cost(TokenUsage(9, 9, 9, 9), free) == (0, Label.EXACT, ())
    own = made(price(model=OPUS, input="4", cache_read="0.1")).card("anthropic", OPUS, AT)
    assert [dollars(own, f"cache_{name}") for name in ("read", "write_5m", "write_1h")] == [
        "0.1",
        "5",
        "8",
    ]
    audio = made(price(output="8")).card("local", "gpt-audio", AT)
    assert (dollars(audio, "output_audio"), dollars(audio, "input_audio")) == ("51.2", "32")


def test_own_rates_for_a_provider_that_is_guessed_are_no_guess() -> None:
    whole = made(price(provider="local", input="1", output="2")).card("local", "gpt-5.2", AT)
    part = made(price(provider="local", input="1")).card("local", "gpt-5.2", AT)
    assert whole is not None
    assert part is not None
    assert (whole.is_guessed, part.is_guessed) == (False, True)


def test_searches_by_contract_are_by_the_thousand_at_every_tier() -> None:
    card = made(price(model=OPUS, web_search="8")).card("anthropic", OPUS, AT)
    usage = TokenUsage(extra={"web_search_requests": 1})
    assert cost(usage, card) == (8_000_000, Label.EXACT, ())
    assert cost(usage, card, BATCH) == (8_000_000, Label.EXACT, ())


def test_names_of_models_that_callers_make_up_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MAX_CARDS", 4)
    book = made()
    for number in range(20):
        book.card("anthropic", f"made-up-{number}", AT)
    assert book._cards.cache_info().currsize == 4
    assert MAX_CARDS <= 4096


def test_a_card_is_made_once(published: Callable[..., bytes], tmp_path: Path) -> None:
    book = PriceBook(read_table(published(), AT), (), (ANTHROPIC,))
    first = book.card("anthropic", "claude-new-1", AT)
    assert first is not None
    assert book.card("anthropic", "claude-new-1", AT.replace(hour=1)) is first


def test_the_longest_name_holds_nobody_up() -> None:
    book = made()
    begin = clock_time.perf_counter()
    book.card("local", "a" * MAX_NAME, AT)
    assert clock_time.perf_counter() - begin < 0.05
