"""Costs by the providers' price pages: the rates below are written by hand, not computed.

Sources, with the day of which the rates are:

- anthropic: https://platform.claude.com/docs/en/about-claude/pricing (models, batch, fast mode,
  long context, web search), 2026-10-24
- openai: https://openai.com/api-priority-processing/ (priority) and
  https://developers.openai.com/api/docs/pricing (all others), 2026-10-12 and, batch, 2026-10-14
- aws, google, azure, perplexity and groq: as genai-prices 0.2.3 quotes the pages
  https://aws.amazon.com/bedrock/pricing/ (regional endpoints cost a tenth more),
  https://cloud.google.com/vertex-ai/generative-ai/pricing,
  https://ai.google.dev/gemini-api/docs/pricing,
  https://azure.microsoft.com/pricing/details/azure-openai/ (global deployments),
  https://docs.perplexity.ai/getting-started/pricing and https://groq.com/pricing, 2026-11-30
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest

from aibridged.core.prices import Label, Reason, cost, tier_of
from aibridged.prices.book import PriceBook
from aibridged.prices.table import installed_table
from aibridged.wire.facts import TokenUsage

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
K, M = 1_000, 1_000_000
HOUR, SEARCH = "cache_ephemeral_1h_input", "web_search_requests"
TIER, MODALITY, TOOL = Reason.TIER, Reason.MODALITY, Reason.TOOL


class Case(NamedTuple):
    """`parts` are counts with the dollars that a million of them cost."""

    provider: str
    model: str
    usage: TokenUsage
    parts: tuple[tuple[int, str], ...]
    service_tier: str | None = None
    speed: str | None = None
    reasons: tuple[Reason, ...] = ()


def use(given=0, out=0, read=0, written=0, **extra) -> TokenUsage:
    return TokenUsage(given, out, read, written, extra)


A, O = "anthropic", "openai"  # noqa: E741
LONG = use(1, 2 * K, 280 * K)
CASES = (
    # Anthropic: input, output, cache reads, writes for 5 minutes and an hour, searches.
    Case(A, "claude-opus-4-8", use(1 * M), ((M, "5"),)),
    Case(A, "claude-opus-4-8", use(0, 1 * M), ((M, "25"),)),
    Case(A, "claude-opus-4-8", use(0, 0, 1 * M), ((M, "0.50"),)),
    Case(A, "claude-opus-4-8", use(0, 0, 0, 1 * M), ((M, "6.25"),)),
    Case(A, "claude-opus-4-8", use(0, 0, 0, 1 * M, **{HOUR: M}), ((M, "10"),)),
    Case(A, "claude-opus-4-8", use(7, 11, 13, 17, **{HOUR: 5}),
         ((7, "5"), (11, "25"), (13, "0.50"), (12, "6.25"), (5, "10"))),
    Case(A, "claude-opus-4-8", use(3, 5, **{SEARCH: 2}), ((3, "5"), (5, "25"), (2, "10000"))),
    Case(A, "claude-opus-4-8", use(3, 900, output_thinking=850), ((3, "5"), (900, "25"))),
    Case(A, "claude-opus-4-8", use(900 * K, 1 * K), ((900 * K, "5"), (1 * K, "25"))),
    Case(A, "claude-opus-4-8", use(10, 20, 30), ((10, "5"), (20, "25"), (30, "0.5")), "standard"),
    Case(A, "claude-opus-4-8", use(10, 20, 30), ((10, "2.5"), (20, "12.5"), (30, "0.25")), "batch"),
    Case(A, "claude-opus-4-8", use(0, 0, 0, 30, **{HOUR: 10}), ((20, "3.125"), (10, "5")), "batch"),
    Case(A, "claude-opus-4-8", use(10, 20, **{SEARCH: 1}),
         ((10, "2.5"), (20, "12.5"), (1, "10000")), "batch"),
    Case(A, "claude-opus-4-8", use(10, 20, 30, 40), ((10, "10"), (20, "50"), (30, "1"),
         (40, "12.5")), "standard", "fast"),
    Case(A, "claude-opus-4-8", use(0, 0, 0, 40, **{HOUR: 40}), ((40, "20"),), None, "fast"),
    # A committed capacity: its price is in a contract.
    Case(A, "claude-opus-4-8", use(10, 20), ((10, "5"), (20, "25")), "priority", None, (TIER,)),
    Case(A, "claude-opus-4-8-20260601", use(10, 20), ((10, "5"), (20, "25"))),
    Case(A, "claude-opus-5", use(10, 20, 30), ((10, "5"), (20, "25"), (30, "0.5"))),
    Case(A, "claude-opus-5", use(10, 20), ((10, "10"), (20, "50")), None, "fast"),
    Case(A, "claude-opus-5-5", use(10, 20, 30, 40), ((10, "4"), (20, "20"), (30, "0.2"),
         (40, "5"))),
    Case(A, "claude-opus-5-5", use(10, 20, 30), ((10, "8"), (20, "40"), (30, "0.4")), None, "fast"),
    Case(A, "claude-opus-4-1", use(10, 20, 30, 40), ((10, "15"), (20, "75"), (30, "1.5"),
         (40, "18.75"))),
    Case(A, "claude-opus-4-1", use(10, 20), ((10, "15"), (20, "75")), "batch", None, (TIER,)),
    Case(A, "claude-fable-5", use(10, 20, 30), ((10, "10"), (20, "50"), (30, "1"))),
    Case(A, "claude-fable-5-1", use(10, 20, 30), ((10, "10"), (20, "50"), (30, "0.25"))),
    Case(A, "claude-sonnet-5-5", use(10, 20, 30), ((10, "2"), (20, "10"), (30, "0.10"))),
    Case(A, "claude-sonnet-4-6", use(10, 20, 30, 40), ((10, "3"), (20, "15"), (30, "0.3"),
         (40, "3.75"))),
    Case(A, "claude-sonnet-4-6", use(1, 1 * K, 500 * K), ((1, "3"), (1 * K, "15"),
         (500 * K, "0.3"))),
    Case(A, "claude-sonnet-4-6", use(10, 20), ((10, "1.5"), (20, "7.5")), "batch"),
    # More than 200,000 tokens, the cache included, cost twice as much.
    Case(A, "claude-sonnet-4-5", use(200 * K, 10), ((200 * K, "3"), (10, "15"))),
    Case(A, "claude-sonnet-4-5", use(200_001, 10), ((200_001, "6"), (10, "22.5"))),
    Case(A, "claude-sonnet-4-5", use(1, 10, 150 * K, 50 * K), ((1, "6"), (10, "22.5"),
         (150 * K, "0.6"), (50 * K, "7.5"))),
    Case(A, "claude-sonnet-4-5", use(1, 10, 0, 200 * K, **{HOUR: 200 * K}), ((1, "6"),
         (10, "22.5"), (200 * K, "12"))),
    Case(A, "claude-sonnet-4-5", use(300 * K, 10), ((300 * K, "3"), (10, "11.25")), "batch"),
    Case(A, "claude-haiku-4-5-20251001", use(10, 20, 30, 40), ((10, "1"), (20, "5"), (30, "0.1"),
         (40, "1.25"))),
    Case(A, "claude-haiku-4-5", use(1, 1, 1), ((1, "0.5"), (1, "2.5"), (1, "0.05")), "batch"),
    Case(A, "claude-haiku-5-5", use(10, 20, 30), ((10, "0.10"), (20, "0.50"), (30, "0.01"))),
    Case(A, "claude-haiku-5-5", use(1, 20, 100 * K), ((1, "0.5"), (20, "2.5"), (100 * K, "0.05"))),
    # OpenAI: what is read from the cache, flex, priority, batch, requests longer than 272,000.
    Case(O, "gpt-5", use(10, 20, 30), ((10, "1.25"), (20, "10"), (30, "0.125")), "default"),
    Case(O, "gpt-5", use(10, 20, output_reasoning=18), ((10, "1.25"), (20, "10"))),
    Case(O, "gpt-5", use(10, 20, 30), ((10, "0.625"), (20, "5"), (30, "0.0625")), "flex"),
    Case(O, "gpt-5", use(10, 20, 30), ((10, "2.5"), (20, "20"), (30, "0.25")), "priority"),
    Case(O, "gpt-5", use(10, 20, 30), ((10, "0.625"), (20, "5"), (30, "0.0625")), "batch"),
    Case(O, "gpt-5", use(10, 20), ((10, "1.25"), (20, "10")), "scale", None, (TIER,)),
    Case(O, "gpt-5-mini", use(10, 20, 30), ((10, "0.45"), (20, "3.60"), (30, "0.045")), "priority"),
    Case(O, "gpt-5-nano", use(1, 3), ((1, "0.05"), (3, "0.40"))),
    Case(O, "gpt-5-nano", use(1, 3), ((1, "0.05"), (3, "0.40")), "priority", None, (TIER,)),
    Case(O, "gpt-5.1-codex", use(10, 20, 30), ((10, "1.25"), (20, "10"), (30, "0.125"))),
    Case(O, "gpt-5.1-codex", use(10, 20, 30), ((10, "2.5"), (20, "20"), (30, "0.25")), "priority"),
    Case(O, "gpt-5.2", use(10, 20, 30), ((10, "1.75"), (20, "14"), (30, "0.175"))),
    Case(O, "gpt-5.2", use(10, 20, 30), ((10, "3.5"), (20, "28"), (30, "0.35")), "priority"),
    Case(O, "gpt-5.2", use(10, 20, **{SEARCH: 3}), ((10, "1.75"), (20, "14"), (3, "10000"))),
    Case(O, "gpt-5.3-codex", use(10, 20, **{SEARCH: 3}), ((10, "1.75"), (20, "14")), None, None,
         (TOOL,)),
    Case(O, "gpt-5.4", use(10, 20, 30), ((10, "2.5"), (20, "15"), (30, "0.25"))),
    Case(O, "gpt-5.4", use(272 * K, 1), ((272 * K, "2.5"), (1, "15"))),
    Case(O, "gpt-5.4", LONG, ((1, "5"), (2 * K, "22.5"), (280 * K, "0.5"))),
    Case(O, "gpt-5.4", LONG, ((1, "2.5"), (2 * K, "11.25"), (280 * K, "0.25")), "flex"),
    Case(O, "gpt-5.4", use(10, 20, 30), ((10, "5"), (20, "30"), (30, "0.5")), "priority"),
    Case(O, "gpt-5.4-mini", use(10, 20, 30), ((10, "1.5"), (20, "9"), (30, "0.15")), "priority"),
    Case(O, "gpt-5.5", use(10, 20, 30), ((10, "12.5"), (20, "75"), (30, "1.25")), "priority"),
    Case(O, "gpt-5.5", LONG, ((1, "10"), (2 * K, "45"), (280 * K, "1"))),
    # Writes to the cache, which earlier models don't charge for.
    Case(O, "gpt-6-sol", use(10, 20, 30, 40), ((10, "2"), (20, "10"), (30, "0.2"), (40, "2.5"))),
    Case(O, "gpt-6-sol", use(10, 20, 30, 40), ((10, "4"), (20, "20"), (30, "0.4"), (40, "5")),
         "priority"),
    Case(O, "gpt-6-sol", use(10, 20, 30, 300 * K), ((10, "2"), (20, "7.5"), (30, "0.2"),
         (300 * K, "2.5")), "batch"),
    Case(O, "gpt-5.2", use(10, 20, 0, 40), ((50, "1.75"), (20, "14"))),
    Case(O, "gpt-4.1", use(10, 20, 30), ((10, "2"), (20, "8"), (30, "0.5"))),
    Case(O, "gpt-4.1", use(10, 20, 30), ((10, "3.5"), (20, "14"), (30, "0.875")), "priority"),
    Case(O, "gpt-4o", use(10, 20, 30), ((10, "2.5"), (20, "10"), (30, "1.25"))),
    Case(O, "gpt-4o-mini", use(10, 20, 30), ((10, "0.15"), (20, "0.6"), (30, "0.075"))),
    Case(O, "o3", use(10, 500, completion_reasoning=400), ((10, "2"), (500, "8"))),
    Case(O, "o3", use(10, 500), ((10, "1"), (500, "4")), "flex"),
    Case(O, "text-embedding-3-small", use(1_234_567), ((1_234_567, "0.02"),)),
    # Audio and images.
    Case(O, "gpt-audio", use(100, 200, prompt_audio=60, completion_audio=150),
         ((40, "2.5"), (60, "32"), (50, "10"), (150, "64"))),
    Case(O, "gpt-realtime", use(100, 0, prompt_audio=60, prompt_image=30),
         ((10, "4"), (60, "32"), (30, "5"))),
    Case(O, "gpt-realtime", use(100, 0, 50, prompt_audio=60), ((40, "4"), (60, "32"),
         (50, "0.4")), None, None, (MODALITY,)),
    Case(O, "gpt-4o-audio-preview", use(100, 0, prompt_audio=60), ((100, "2.5"),), None, None,
         (MODALITY,)),
    # The same models elsewhere.
    Case("aws", "us.anthropic.claude-sonnet-4-6-v1:0", use(10, 20, 30, 40, **{HOUR: 40}),
         ((10, "3.3"), (20, "16.5"), (30, "0.33"), (40, "6.6"))),
    Case("aws", "global.anthropic.claude-opus-4-8", use(10, 20, 30, 40),
         ((10, "5"), (20, "25"), (30, "0.5"), (40, "6.25"))),
    Case("aws", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", use(10, 20),
         ((10, "1.1"), (20, "5.5"))),
    Case("google", "claude-sonnet-4-6", use(10, 20, 30, 40), ((10, "3"), (20, "15"), (30, "0.3"),
         (40, "3.75"))),
    Case("google", "claude-opus-4-8@20260601", use(10, 20), ((10, "5"), (20, "25"))),
    Case("google", "gemini-2.5-pro", use(10, 20, 30), ((10, "1.25"), (20, "10"), (30, "0.125"))),
    Case("google", "gemini-2.5-pro", use(200_001, 20), ((200_001, "2.5"), (20, "15"))),
    Case("google", "gemini-2.5-pro", use(10, 20, **{SEARCH: 1}), ((10, "1.25"), (20, "10"),
         (1, "35000"))),
    Case("google", "gemini-2.5-flash", use(100, 20, prompt_audio=40), ((60, "0.3"), (40, "1"),
         (20, "2.5"))),
    Case("azure", "gpt-5.2", use(10, 20, 30), ((10, "1.75"), (20, "14"), (30, "0.175"))),
    Case("azure", "gpt-5.2", use(10, 20), ((10, "1.75"), (20, "14")), "priority", None, (TIER,)),
    Case("azure", "o4-mini", use(10, 20, 30), ((10, "1.1"), (20, "4.4"), (30, "0.275"))),
    # A request has a price of its own.
    Case("perplexity", "sonar", use(10, 20), ((10, "1"), (20, "1"), (1, "12000"))),
    Case("groq", "openai/gpt-oss-120b", use(10, 20), ((10, "0.15"), (20, "0.6")), "on_demand"),
)  # fmt: skip


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(installed_table())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.provider}-{case.model}")
def test_a_cost_is_what_the_price_page_says(book: PriceBook, case: Case) -> None:
    card = book.card(case.provider, case.model, AT)
    found = cost(case.usage, card, tier_of(case.service_tier, case.speed))
    # Nano-dollars: a token at a dollar per million costs a thousand.
    exact = sum(count * Decimal(dollars) for count, dollars in case.parts) * 1000
    assert found.amount == int(exact + Decimal("0.5"))
    assert found.reasons == case.reasons
    assert found.label is (Label.ESTIMATED if case.reasons else Label.EXACT)
