"""Counts of three APIs in one vocabulary; whole objects stand in the readers' tests."""

from collections.abc import Callable
from typing import Any

import pytest

from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.usage import add_counts, chat_usage, messages_usage, responses_usage, together


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


def test_counts_of_the_same_name_are_added_at_any_depth():
    before = {"input": 1, "details": {"cached": 2, "audio": 1}, "tier": "a", "none": None}
    usage = {"input": 10, "output": 5, "details": {"cached": 20}, "tier": "b", "none": 3}
    assert add_counts(before, usage) == {
        "input": 11,
        "output": 5,
        "details": {"cached": 22, "audio": 1},
        "tier": "b",
        "none": 3,
    }


def test_null_takes_nothing_away():
    assert add_counts({"a": 1, "b": {"c": 1}}, {"a": None, "b": None, "d": None}) == {
        "a": 1,
        "b": {"c": 1},
        "d": None,
    }


def test_a_truth_is_no_count():
    assert add_counts({"a": True}, {"a": True}) == {"a": True}


def test_neither_is_changed():
    before, usage = {"a": {"b": 1}}, {"a": {"b": 1}}
    add_counts(before, usage)
    assert before == usage == {"a": {"b": 1}}


CALL = ToolCall("t", None, "bmcp_a_b", "{}", server_side=False, complete=True)
THOUGHT = Thought("Hm.", "thinking", complete=True)
USED = TokenUsage(input=1, output=2, cache_read=3, cache_write=4, extra={"searches": 5})
ONE = ResponseFacts(
    response_id="r1",
    model="m",
    usage=USED,
    tool_calls=(CALL,),
    thoughts=(THOUGHT,),
    complete=True,
    anomalies={"x": 1},
)


def test_all_is_added_up_and_the_end_is_the_last_ones():
    error = ProviderError("t", None, None)
    last = ResponseFacts(
        response_id="r2", model="n", usage=USED, tool_calls=(CALL,), thoughts=(THOUGHT,)
    )
    both = together(ONE, last)
    assert both == ResponseFacts(
        response_id="r2",
        model="n",
        usage=TokenUsage(input=2, output=4, cache_read=6, cache_write=8, extra={"searches": 10}),
        tool_calls=(CALL, CALL),
        thoughts=(THOUGHT, THOUGHT),
        anomalies={"x": 1},
    )
    assert together(ONE, ResponseFacts(error=error)).error is error
    assert not together(ONE, last).complete
    assert together(last, ONE).complete


def test_what_the_last_one_did_not_tell_the_first_has():
    both = together(ONE, ResponseFacts())
    assert (both.response_id, both.model, both.usage) == ("r1", "m", USED)
    assert together(ResponseFacts(), ONE) == ONE


def test_a_part_makes_the_whole_a_part():
    part = ResponseFacts(usage=TokenUsage(input=1, partial=True))
    assert together(ONE, part).usage.partial
    assert together(part, ONE).usage.partial
