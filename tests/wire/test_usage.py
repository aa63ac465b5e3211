"""Counts of three APIs in one vocabulary; whole objects stand in the readers' tests."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aibridged.wire.facts import TokenUsage
from aibridged.wire.usage import (
    MAX_ADDITIONAL,
    MAX_COUNT,
    MAX_ITERATIONS,
    chat_usage,
    messages_usage,
    responses_usage,
)


def chat(**usage: Any) -> TokenUsage:
    return chat_usage(usage, partial=False)


def messages(**usage: Any) -> TokenUsage:
    return messages_usage(usage, partial=False, model="claude-x")


def figures(usage: TokenUsage) -> tuple[int, int, int, int]:
    return usage.input, usage.output, usage.cache_read, usage.cache_write


@pytest.mark.parametrize(
    "count",
    [
        lambda usage: messages_usage(usage, partial=False),
        lambda usage: chat_usage(usage, partial=False),
        responses_usage,
    ],
)
@pytest.mark.parametrize(
    "value",
    [None, "12", -1, MAX_COUNT + 1, 2**63, float("inf"), float("nan"), [], {}, True, [1], {"a": 1}],
)
def test_what_is_no_count_is_zero(count: Callable[[Any], TokenUsage], value: object) -> None:
    names = ("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens", "total_tokens")
    details = ("input_tokens_details", "prompt_tokens_details", "cache_creation", "iterations")
    assert count(dict.fromkeys((*names, *details), value)) == TokenUsage()


def test_a_whole_float_is_a_count() -> None:
    assert messages_usage({"output_tokens": 12.0}, partial=True) == TokenUsage(
        output=12, partial=True
    )


def test_no_more_of_the_prompt_is_cached_than_there_is() -> None:
    details = {"cached_tokens": 20, "cache_write_tokens": 1}
    expected = TokenUsage(input=0, cache_read=5)
    assert chat(prompt_tokens=5, prompt_tokens_details=details) == expected
    assert responses_usage({"input_tokens": 5, "input_tokens_details": details}) == expected
    details = {"cached_tokens": 3, "cache_write_tokens": 9}
    expected = TokenUsage(input=0, cache_read=3, cache_write=2)
    assert chat(prompt_tokens=5, prompt_tokens_details=details) == expected


def test_writes_that_include_what_was_read_count_as_far_as_there_is_room() -> None:
    """The types of OpenAI's SDK: `cache_write_tokens` is "unadjusted" in Chat Completions. The
    numbers are those of github.com/QuantumNous/new-api's tests.
    """
    details = {"cached_tokens": 2921, "cache_write_tokens": 3616}
    told = {"input_tokens": 3619, "output_tokens": 36, "total_tokens": 3655}
    assert figures(responses_usage({**told, "input_tokens_details": details})) == (0, 36, 2921, 698)


def test_the_images_of_a_prompt() -> None:
    usage = chat(prompt_tokens_details={"image_tokens": 85})
    assert usage.extra == {"prompt_image": 85}


"""What servers that are compatible with Chat Completions call what is cached and thought."""

COMPATIBLE = {
    # developers.openai.com/api/docs/guides/prompt-caching: reads and writes, from GPT-5.6 on.
    # openrouter.ai/docs/use-cases/usage-accounting: the same names for every model.
    "openai": ({"prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300}}, 300),
    # api-docs.deepseek.com/api/create-chat-completion: the prompt is the hits and the misses.
    "deepseek": ({"prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400}, 0),
    # platform.moonshot.ai/docs/api/chat: `cached_tokens` beside the prompt's count, of Kimi too.
    "moonshot": ({"cached_tokens": 600}, 0),
    # github.com/vercel/ai/pull/17118: Groq has OpenAI's name in OpenAI's place.
    # docs.x.ai/developers/advanced-api-usage/prompt-caching/usage-and-pricing: so has xAI.
    "groq": ({"prompt_tokens_details": {"cached_tokens": 600}}, 0),
    # docs.mistral.ai/api: three places, of which the first is what its page on caching shows.
    "mistral": ({"prompt_tokens_details": {"cached_tokens": 600}, "num_cached_tokens": 600}, 0),
    "mistral, beside the prompt": ({"num_cached_tokens": 600}, 0),
    "mistral, another spelling": ({"prompt_token_details": {"cached_tokens": 600}}, 0),
    # alibabacloud.com/help/en/model-studio/context-cache: Qwen's explicit cache.
    "qwen": (
        {
            "prompt_tokens_details": {
                "cached_tokens": 600,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 300},
                "cache_type": "ephemeral",
            }
        },
        300,
    ),
    "qwen, by lifetime only": (
        {
            "prompt_tokens_details": {
                "cached_tokens": 600,
                "cache_creation": {"ephemeral_5m_input_tokens": 300},
            }
        },
        300,
    ),
    # docs.litellm.ai/docs/completion/prompt_caching: Anthropic's names beside OpenAI's.
    "litellm": (
        {
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 300,
            "prompt_tokens_details": {"cached_tokens": 600},
        },
        300,
    ),
    "anthropic's names alone": (
        {"cache_read_input_tokens": 600, "cache_creation_input_tokens": 300},
        300,
    ),
    # github.com/Helicone/helicone/issues/5312, and gateways of its kind.
    "helicone": (
        {"prompt_tokens_details": {"cached_tokens": 600, "cache_creation_tokens": 300}},
        300,
    ),
    # github.com/QuantumNous/new-api, dto/openai_response.go.
    "new-api": (
        {"prompt_tokens_details": {"cached_tokens": 600, "cached_creation_tokens": 300}},
        300,
    ),
    "zeros under other names": (
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "cached_tokens": 0,
            "cache_read_input_tokens": 0,
            "input_tokens_details": None,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 0},
        },
        0,
    ),
}


@pytest.mark.parametrize("name", COMPATIBLE)
def test_cached_tokens_of_compatible_servers(name: str) -> None:
    told, written = COMPATIBLE[name]
    usage = chat(prompt_tokens=1000, completion_tokens=50, total_tokens=1050, **told)
    assert figures(usage) == (400 - written, 50, 600, written)


def test_responses_of_compatible_servers() -> None:
    """The names are the same: docs.x.ai and help.aliyun.com have OpenAI's, proxies Anthropic's."""
    told = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050}
    usage = responses_usage({**told, "input_tokens_details": {"cached_tokens": 600}})
    assert figures(usage) == (400, 50, 600, 0)
    usage = responses_usage({**told, "cache_read_input_tokens": 600})
    assert figures(usage) == (400, 50, 600, 0)


def test_names_of_the_other_api_count_where_its_own_are_missing() -> None:
    usage = chat(input_tokens=1000, output_tokens=50, input_tokens_details={"cached_tokens": 900})
    assert figures(usage) == (100, 50, 900, 0)


def test_reasoning_that_is_not_in_the_output() -> None:
    """docs.x.ai/docs/key-information/consumption-and-rate-limits: xAI counts it separately from
    the completion, and in the total.
    """
    details = {"reasoning_tokens": 300}
    counts = {"prompt_tokens": 1000, "completion_tokens": 50, "completion_tokens_details": details}
    usage = chat(**counts, total_tokens=1350)
    assert figures(usage) == (1000, 350, 0, 0)
    assert usage.extra == {"completion_reasoning": 300}
    # Without a total, more reasoning than output can't be part of it; less may be.
    assert figures(chat(**counts)) == (1000, 350, 0, 0)
    usage = chat(prompt_tokens=1, completion_tokens=50, reasoning_tokens=40)
    assert (usage.output, usage.extra) == (50, {"completion_reasoning": 40})
    assert chat(completion_tokens=MAX_COUNT - 1, reasoning_tokens=MAX_COUNT).output == MAX_COUNT
    # A gap that could be the cache, too, is the reasoning: the cache is in nearly every prompt.
    usage = chat(**counts, total_tokens=1350, cached_tokens=300)
    assert figures(usage) == (700, 350, 300, 0)
    usage = responses_usage(
        {
            "input_tokens": 32,
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 94},
            "total_tokens": 135,
        }
    )
    assert figures(usage) == (32, 103, 0, 0)


def test_reasoning_that_is_in_the_output_is_not_added() -> None:
    """The types of OpenAI's SDK: the total is the prompt and the completion."""
    usage = chat(
        prompt_tokens=1000,
        completion_tokens=350,
        total_tokens=1350,
        completion_tokens_details={"reasoning_tokens": 300},
    )
    assert usage.output == 350
    assert chat(completion_tokens=5, total_tokens=5, reasoning_tokens=9).output == 5


def test_reasoning_that_only_the_total_tells() -> None:
    """discuss.ai.google.dev/t/98760: of Gemini the total alone has the thinking."""
    usage = chat(prompt_tokens=758, completion_tokens=102, total_tokens=1725)
    assert figures(usage) == (758, 967, 0, 0)


@pytest.mark.parametrize(
    ("total", "expected"), [(1650, (1000, 50, 600, 0)), (1050, (400, 50, 600, 0))]
)
def test_a_cache_beside_the_prompt_is_told_by_the_total(
    total: int, expected: tuple[int, ...]
) -> None:
    """github.com/vercel/ai/pull/19515: some leave the cache out of the prompt, as Anthropic."""
    counts = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": total}
    usage = chat(**counts, prompt_tokens_details={"cached_tokens": 600})
    assert figures(usage) == expected


def test_the_total_alone() -> None:
    assert figures(chat(total_tokens=12)) == (12, 0, 0, 0)
    assert figures(chat(total_tokens=12, completion_tokens=2)) == (10, 2, 0, 0)


def test_a_total_of_less_than_its_parts_is_none() -> None:
    assert figures(chat(total_tokens=1, prompt_tokens=5, completion_tokens=2)) == (5, 2, 0, 0)


COUNT = st.integers(0, 10**9)
SOME = st.one_of(st.just(0), COUNT)


@given(
    fresh=COUNT,
    read=SOME,
    written=SOME,
    said=COUNT,
    thought=SOME,
    shape=st.sampled_from(
        ["openai", "deepseek", "moonshot", "qwen", "anthropic", "xai", "gemini", "beside"]
    ),
)
def test_the_figures_are_right_in_every_shape_and_add_up_to_the_total(
    fresh: int, read: int, written: int, said: int, thought: int, shape: str
) -> None:
    prompt, output = fresh + read + written, said + thought
    details: dict[str, Any] = {"cached_tokens": read}
    told: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output}
    told |= {"total_tokens": prompt + output, "prompt_tokens_details": details}
    if shape == "openai":
        details["cache_write_tokens"] = written
    elif shape == "deepseek":
        told |= {"prompt_cache_hit_tokens": read, "prompt_cache_miss_tokens": fresh + written}
        del told["prompt_tokens_details"]
    elif shape == "moonshot":
        told |= {"cached_tokens": read, "prompt_tokens_details": None}
    elif shape == "qwen":
        details["cache_creation"] = {"ephemeral_5m_input_tokens": written}
    elif shape == "anthropic":
        told |= {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    else:
        if shape == "beside":
            assume(fresh and (read + written) not in (0, thought))
            told["prompt_tokens"] = fresh
        else:
            assume(prompt and thought not in (read, written, read + written))
            told["completion_tokens"] = said
        details["cache_write_tokens"] = written
        if shape == "xai":
            told["completion_tokens_details"] = {"reasoning_tokens": thought}
    if shape in ("deepseek", "moonshot"):  # they count no writes
        fresh, written = fresh + written, 0
    assert figures(chat_usage(told, partial=False)) == (fresh, output, read, written)


NAMES = st.sampled_from(
    [
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "ephemeral_1h_input_tokens",
    ]
)
ANY = st.one_of(st.integers(-1, 50), st.integers(), st.floats(), st.none(), st.booleans())
COUNTS = st.dictionaries(NAMES, ANY)
PARTS = st.sampled_from(
    ["prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "cache_creation"]
)


@given(
    counts=COUNTS,
    parts=st.dictionaries(PARTS, st.one_of(ANY, COUNTS)),
    more=st.integers(0, 100),
    count=st.sampled_from([chat, lambda **usage: responses_usage(usage), messages]),
)
def test_whatever_is_told_no_figure_is_negative_and_the_total_is_kept(
    counts: dict[str, Any], parts: dict[str, Any], more: int, count: Callable[..., TokenUsage]
) -> None:
    usage = count(**counts, **parts)
    assert all(0 <= figure <= MAX_COUNT for figure in figures(usage))
    assert all(0 < figure <= MAX_COUNT for figure in usage.extra.values())
    if count is not messages:
        plain = count(**{name: value for name, value in counts.items() if "reason" not in name})
        total = sum(figures(plain)) + more
        if 0 < total <= MAX_COUNT:
            assert sum(figures(count(**counts, **parts, total_tokens=total))) == total


"""Anthropic's `iterations`; the shapes are those of its SDK's types."""


def entry(kind: str, given: int, generated: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "input_tokens": given, "output_tokens": generated, **more}


def test_writes_to_the_cache_that_only_their_lifetimes_tell() -> None:
    created = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 12}
    usage = messages(input_tokens=1, cache_creation=created)
    assert usage.cache_write == 42
    assert usage.extra == {"cache_ephemeral_5m_input": 30, "cache_ephemeral_1h_input": 12}
    assert messages(cache_creation_input_tokens=41, cache_creation=created).cache_write == 41
    assert messages(cache_creation_input_tokens=0, cache_creation=created).cache_write == 42


def test_compactions_are_beside_the_message() -> None:
    """`anthropic.types.beta.BetaUsage`: a compaction's tokens are not in the top-level fields."""
    usage = messages(
        input_tokens=1000,
        output_tokens=50,
        iterations=[
            entry("compaction", 180_000, 3500, cache_read_input_tokens=7),
            entry("message", 600, 20),
            entry("compaction", 20, 1, cache_creation={"ephemeral_1h_input_tokens": 9}),
            entry("message", 400, 30),
        ],
    )
    assert figures(usage) == (1000, 50, 0, 0)
    assert usage.model is None
    assert usage.additional == (
        TokenUsage(
            input=180_020,
            output=3501,
            cache_read=7,
            cache_write=9,
            extra={"cache_ephemeral_1h_input": 9},
            iteration="compaction",
        ),
    )


def test_advisors_are_beside_the_message_under_their_own_model() -> None:
    """platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool."""
    iterations = [
        entry("message", 412, 89),
        entry("advisor_message", 823, 1612, model="claude-big"),
        entry("message", 1348, 442, cache_read_input_tokens=412),
        entry("advisor_message", 1, 2, model="claude-big"),
        entry("advisor_message", 3, 4, model="claude-x"),
    ]
    usage = messages(input_tokens=412, output_tokens=531, iterations=iterations)
    assert figures(usage) == (412, 531, 0, 0)
    assert usage.additional == (
        TokenUsage(input=824, output=1614, model="claude-big", iteration="advisor_message"),
        TokenUsage(input=3, output=4, iteration="advisor_message"),
    )


def test_messages_are_counted_already() -> None:
    iterations = [entry("message", 600, 20, model="claude-x"), entry("message", 400, 30)]
    usage = messages(input_tokens=1000, output_tokens=50, iterations=iterations)
    assert usage == TokenUsage(input=1000, output=50)


def test_a_fallback_is_its_own_model_and_what_was_declined_before_it_the_other_one() -> None:
    """platform.claude.com/docs/en/build-with-claude/refusals-and-fallback: the top level is the
    attempt that answered, and every attempt with output is billed at its model's rate. The numbers
    are those of github.com/ccusage/ccusage/issues/1552.
    """
    answered = entry("fallback_message", 2, 13_658, cache_read_input_tokens=79_214, model="opus")
    declined = entry(
        "message",
        2,
        578,
        cache_creation_input_tokens=10_421,
        cache_read_input_tokens=72_769,
        model="fable",
    )
    silent = entry("message", 408, 0, model="haiku")
    advice = entry("advisor_message", 8, 7, model="opus")
    iterations = [silent, declined, advice, entry("message", 1, 1, model="opus"), answered]
    usage = messages_usage({**answered, "iterations": iterations}, partial=False, model="opus")
    assert (*figures(usage), usage.model) == (2, 13_658, 79_214, 0, "opus")
    assert usage.additional == (
        TokenUsage(
            input=2,
            output=578,
            cache_read=72_769,
            cache_write=10_421,
            model="fable",
            iteration="message",
        ),
        TokenUsage(input=8, output=7, model="opus", iteration="advisor_message"),
    )


def test_attempts_that_the_message_counts_are_not_counted_again() -> None:
    iterations = [
        entry("message", 600, 20, model="fable"),
        entry("fallback_message", 400, 30, model="opus"),
    ]
    usage = messages(input_tokens=1000, output_tokens=50, iterations=iterations)
    assert usage.additional == ()
    del iterations[0]["model"]  # whose it was isn't told
    assert messages(input_tokens=400, output_tokens=30, iterations=iterations).additional == ()


def test_iterations_that_can_not_be_read_are_left_out() -> None:
    iterations = [
        7,
        None,
        {"type": ["compaction"]},
        {"type": "brand_new", "input_tokens": 5},
        {"type": "compaction", "input_tokens": "many", "model": 7},
    ]
    usage = messages(input_tokens=1, iterations=iterations)
    assert usage == TokenUsage(input=1, additional=(TokenUsage(iteration="compaction"),))


def test_iterations_are_bounded_and_what_is_left_out_makes_the_usage_partial() -> None:
    advisors = [entry("advisor_message", 1, 1, model=f"m{n}") for n in range(MAX_ADDITIONAL + 1)]
    assert not messages(iterations=advisors[:-1]).partial
    usage = messages(iterations=advisors)
    assert len(usage.additional) == MAX_ADDITIONAL
    assert usage.partial
    many = [entry("compaction", 1, 0)] * MAX_ITERATIONS
    assert not messages(iterations=many).partial
    usage = messages(iterations=[*many, entry("compaction", 1, 0)])
    assert usage.additional[0].input == MAX_ITERATIONS
    assert usage.partial
