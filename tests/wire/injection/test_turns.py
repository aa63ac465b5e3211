from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.injection.turns import together

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
