"""Usage that is told more than once, and that of several turns."""

from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.usage import MAX_ADDITIONAL, MAX_COUNT, MAX_ITERATIONS
from aibridged.wire.usage_sums import (
    add_counts,
    add_messages_turn,
    latest_counts,
    reported,
    together,
)


def test_the_later_word_counts_but_takes_nothing_back():
    before = {"input": 1000, "output": 1, "details": {"cached": 900, "audio": 3}, "tier": "a"}
    usage = {"input": 0, "output": 50, "details": {"cached": 0, "audio": 4}, "tier": None, "new": 0}
    assert latest_counts(before, usage) == {
        "input": 1000,
        "output": 50,
        "details": {"cached": 900, "audio": 4},
        "tier": "a",
        "new": 0,
    }
    assert latest_counts({"input": 1000}, {"input": 30}) == {"input": 30}
    assert latest_counts({"details": {"a": 1}}, {"details": None}) == {"details": {"a": 1}}
    assert latest_counts({"details": None}, {"details": {"a": 1}}) == {"details": {"a": 1}}
    assert before["details"] == {"cached": 900, "audio": 3}


def test_of_what_a_stream_reports_only_counts_that_are_read_are_kept():
    usage = {
        "prompt_tokens": 5,
        "note": "x" * 1000,
        "x1": 1,
        "cached_tokens": "9",
        "iterations": [1],
        "prompt_tokens_details": {"cached_tokens": 4, "x2": 2, "cache_creation": {"x3": {}}},
    }
    kept = {
        "prompt_tokens": 5,
        "iterations": [1],
        "prompt_tokens_details": {"cached_tokens": 4, "cache_creation": {}},
    }
    assert reported(None, usage) == kept
    assert reported({"prompt_tokens": 1, "completion_tokens": 2}, usage) == {
        **kept,
        "completion_tokens": 2,
    }
    deep = {"cache_creation": {"cache_creation": {"cache_creation": {"cached_tokens": 1}}}}
    assert reported(None, deep) == {"cache_creation": {"cache_creation": {}}}


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


def test_what_other_models_used_stays_theirs():
    big = TokenUsage(input=8, output=7, model="big", iteration="advisor_message")
    summary = TokenUsage(input=5, iteration="compaction", extra={"x": 1})
    first = ResponseFacts(usage=TokenUsage(input=1, additional=(big, summary)))
    last = ResponseFacts(usage=TokenUsage(input=2, additional=(summary, big)))
    assert together(first, last).usage == TokenUsage(
        input=3,
        additional=(
            TokenUsage(input=16, output=14, model="big", iteration="advisor_message"),
            TokenUsage(input=10, iteration="compaction", extra={"x": 2}),
        ),
    )
    fallback = ResponseFacts(usage=TokenUsage(input=4, model="opus"))
    both = together(first, fallback).usage
    assert both == TokenUsage(input=1, additional=(big, summary, TokenUsage(input=4, model="opus")))
    assert together(ResponseFacts(usage=both), fallback).usage.additional[-1].input == 8
    assert together(fallback, first).usage.model == "opus"
    fallback = ResponseFacts(usage=TokenUsage(input=4, model="opus", additional=(summary,)))
    assert together(ResponseFacts(usage=TokenUsage()), fallback).usage.additional == (
        TokenUsage(input=4, model="opus"),
        summary,
    )


def test_sums_are_bounded():
    most = TokenUsage(MAX_COUNT, MAX_COUNT, MAX_COUNT, MAX_COUNT, extra={"x": MAX_COUNT})
    assert together(ResponseFacts(usage=most), ResponseFacts(usage=most)).usage == most
    total = ResponseFacts(usage=TokenUsage())
    for number in range(MAX_ADDITIONAL + 1):
        assert not total.usage.partial
        used = TokenUsage(additional=(TokenUsage(input=1, model=f"m{number}"),))
        total = together(total, ResponseFacts(usage=used))
    assert len(total.usage.additional) == MAX_ADDITIONAL
    assert total.usage.partial


COMPACTION = {"type": "compaction", "input_tokens": 100, "output_tokens": 9}
MESSAGE = {"type": "message", "input_tokens": 2, "output_tokens": 3}


def test_iterations_of_turns_stand_one_after_the_other():
    told = {"input_tokens": 2, "output_tokens": 3, "iterations": [COMPACTION, MESSAGE]}
    total = add_messages_turn(told, told)
    assert total["input_tokens"] == 4
    assert total["iterations"] == [COMPACTION, MESSAGE, COMPACTION, MESSAGE]


def test_a_turn_without_iterations_becomes_one_beside_a_turn_that_has_them():
    plain = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 0},
        "server_tool_use": None,
        "iterations": None,
    }
    told = {"input_tokens": 2, "output_tokens": 3, "iterations": [COMPACTION, MESSAGE]}
    one = {"type": "message", **plain}
    del one["server_tool_use"], one["iterations"]
    assert add_messages_turn(plain, told)["iterations"] == [one, COMPACTION, MESSAGE]
    assert add_messages_turn(told, plain)["iterations"] == [COMPACTION, MESSAGE, one]
    assert add_messages_turn({}, told)["iterations"] == [COMPACTION, MESSAGE]
    assert add_messages_turn(plain, plain)["iterations"] is None
    assert "iterations" not in add_messages_turn({"input_tokens": 1}, {"input_tokens": 1})


def test_iterations_of_turns_are_bounded():
    told = {"iterations": [COMPACTION] * MAX_ITERATIONS}
    total = add_messages_turn({"iterations": [MESSAGE]}, told)
    assert total["iterations"] == told["iterations"]
