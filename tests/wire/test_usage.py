"""Counts of three APIs in one vocabulary; whole objects stand in the readers' tests."""

from collections.abc import Callable
from typing import Any

import pytest

from aibridged.wire.facts import TokenUsage
from aibridged.wire.usage import chat_usage, messages_usage, responses_usage


@pytest.mark.parametrize(
    "count",
    [
        lambda usage: messages_usage(usage, partial=False),
        lambda usage: chat_usage(usage, partial=False),
        responses_usage,
    ],
)
@pytest.mark.parametrize("value", [None, "12", -1, 2**63, float("inf"), float("nan"), [], {}])
def test_what_is_no_count_is_zero(count: Callable[[Any], TokenUsage], value: object) -> None:
    names = ("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens")
    details = ("input_tokens_details", "prompt_tokens_details", "cache_creation")
    assert count(dict.fromkeys((*names, *details), value)) == TokenUsage()


def test_a_whole_float_is_a_count() -> None:
    assert messages_usage({"output_tokens": 12.0}, partial=True) == TokenUsage(
        output=12, partial=True
    )


def test_input_without_the_cache_is_never_negative() -> None:
    details = {"cached_tokens": 20}
    expected = TokenUsage(input=0, cache_read=20)
    assert chat_usage({"prompt_tokens": 5, "prompt_tokens_details": details}, partial=False) == (
        expected
    )
    assert responses_usage({"input_tokens": 5, "input_tokens_details": details}) == expected


def test_the_images_of_a_prompt() -> None:
    usage = chat_usage({"prompt_tokens_details": {"image_tokens": 85}}, partial=False)
    assert usage.extra == {"prompt_image": 85}
