import pytest

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.responses import Stored, check

EMPTY = {"type": "object", "properties": {}}
LIST = {"type": "object", "properties": {"a": {"type": "array"}}}
TOOL = {"type": "function", "name": "t", "parameters": EMPTY}
CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "t", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "x"}
THOUGHT = {"type": "reasoning", "id": "rs", "summary": []}
HELLO = {"role": "user", "content": "hi"}


def request(*items, **fields):
    return {"model": "m", "tools": [TOOL], "input": list(items), **fields}


@pytest.mark.parametrize(
    "items",
    [
        [HELLO],
        [HELLO, CALL, RESULT],
        [HELLO, THOUGHT, CALL, RESULT, HELLO],
        [HELLO, {"type": "web_search_call", "anything": 1}],
    ],
)
def test_a_conversation_in_order_passes(items):
    check(request(*items), Stored())


def test_an_input_may_be_a_text():
    check({"model": "m", "input": "hi"}, Stored())


@pytest.mark.parametrize(
    "items",
    [
        [HELLO, CALL],
        [HELLO, RESULT],
        [HELLO, RESULT, CALL],
        [HELLO, CALL, {**RESULT, "call_id": "d"}],
        [HELLO, THOUGHT],
        [HELLO, THOUGHT, HELLO],
        [HELLO, THOUGHT, RESULT],
        [HELLO, {**CALL, "made_up": 1}, RESULT],
    ],
)
def test_what_is_not_in_order_is_refused(items):
    with pytest.raises(InvalidRequestError):
        check(request(*items), Stored())


def test_thoughts_are_encrypted_where_nothing_is_stored():
    check(request({**THOUGHT, "encrypted_content": "x"}, CALL, RESULT, store=False), Stored())
    with pytest.raises(InvalidRequestError, match="not persisted"):
        check(request(THOUGHT, CALL, RESULT, store=False), Stored())


@pytest.mark.parametrize(
    "fields",
    [{"previous_response_id": "r"}, {"conversation": "conv"}, {"conversation": {"id": "conv"}}],
)
def test_calls_that_are_stored_have_to_be_answered(fields):
    stored = Stored()
    stored.remember({"conversation": "conv"}, "r", ["c"])
    check(request(RESULT, **fields), stored)
    with pytest.raises(InvalidRequestError):
        check(request(HELLO, **fields), stored)


def test_a_response_that_is_not_stored_is_not_found():
    stored = Stored()
    stored.remember({"store": False}, "r", [])
    with pytest.raises(InvalidRequestError, match="not found"):
        check(request(HELLO, previous_response_id="r"), stored)


def test_only_so_many_are_remembered():
    stored = Stored()
    for number in range(1001):
        stored.remember({}, str(number), [])
    check(request(HELLO, previous_response_id="1"), stored)
    with pytest.raises(InvalidRequestError):
        check(request(HELLO, previous_response_id="0"), stored)


@pytest.mark.parametrize(
    "fields",
    [
        {"made_up": 1},
        {"tools": [TOOL, TOOL]},
        {"tools": [{**TOOL, "parameters": {"type": "object"}}]},
        {"tools": [{**TOOL, "parameters": LIST}]},
        {"tools": [{**TOOL, "name": f"t{number}"} for number in range(129)]},
    ],
)
def test_fields_are_checked(fields):
    with pytest.raises(InvalidRequestError):
        check(request(HELLO, **fields), Stored())
