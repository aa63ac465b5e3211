import pytest

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.chat_completions import check

EMPTY = {"type": "object", "properties": {}}
LIST = {"type": "object", "properties": {"a": {"type": "array"}}}
FUNCTION = {"name": "t", "parameters": EMPTY}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
HELLO = {"role": "user", "content": "hi"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "x"}
ANSWER = {"role": "assistant", "content": "x"}


def request(*messages, **fields):
    return {"model": "m", "tools": [TOOL], "messages": list(messages), **fields}


@pytest.mark.parametrize(
    "messages",
    [[HELLO], [HELLO, CALLS, RESULT], [HELLO, CALLS, RESULT, ANSWER, HELLO], [HELLO, ANSWER]],
)
def test_a_conversation_in_order_passes(messages):
    check(request(*messages, parallel_tool_calls=False))


@pytest.mark.parametrize(
    "messages",
    [
        [HELLO, CALLS],
        [HELLO, CALLS, HELLO],
        [HELLO, RESULT],
        [HELLO, CALLS, {**RESULT, "tool_call_id": "d"}],
        [HELLO, CALLS, RESULT, RESULT | {"tool_call_id": "d"}],
        [HELLO, {**ANSWER, "content": None}],
        [HELLO, {**ANSWER, "made_up": 1}],
        [{**HELLO, "role": "made_up"}],
        [HELLO, {**CALLS, "tool_calls": [{**CALL, "made_up": 0}]}, RESULT],
    ],
)
def test_what_is_not_in_order_is_refused(messages):
    with pytest.raises(InvalidRequestError):
        check(request(*messages))


@pytest.mark.parametrize(
    "fields",
    [
        {"made_up": 1},
        {"tools": []},
        {"tools": [TOOL] * 2},
        {"tools": None, "parallel_tool_calls": False},
        {"tools": [{**TOOL, "function": {**FUNCTION, "description": "x" * 1025}}]},
        {"tools": [{**TOOL, "function": {**FUNCTION, "parameters": {"type": "object"}}}]},
        {"tools": [{**TOOL, "function": {**FUNCTION, "parameters": LIST}}]},
        {"tools": [{**TOOL, "function": {**FUNCTION, "name": f"t{n}"}} for n in range(129)]},
        {"stream_options": {"include_usage": True}},
    ],
)
def test_fields_are_checked(fields):
    with pytest.raises(InvalidRequestError):
        check(request(HELLO, **fields))
