import pytest

from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.checking.messages import SIGNATURE, check

TOOL = {"name": "t", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "c", "name": "t", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "x"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}
TEXT = {"type": "text", "text": "hi"}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def request(*messages, **fields):
    return {"model": "m", "max_tokens": 1, "tools": [TOOL], "messages": list(messages), **fields}


HELLO = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be brief"}


@pytest.mark.parametrize(
    "messages",
    [
        [HELLO],
        [HELLO, assistant(THOUGHT, TEXT, CALL), user(RESULT, TEXT)],
        [HELLO, assistant(CALL), user({**RESULT, "is_error": True}), assistant(TEXT), HELLO],
        [HELLO, {"role": "assistant", "content": ""}],
        [HELLO, assistant({"type": "web_search_tool_result", "anything": 1}), HELLO],
        [HELLO, SYSTEM],
        [HELLO, SYSTEM, assistant(CALL), user(RESULT), SYSTEM, SYSTEM],
    ],
)
def test_a_conversation_in_order_passes(messages):
    check(request(*messages, tool_choice={"type": "auto"}))


@pytest.mark.parametrize(
    "messages",
    [
        [HELLO, assistant(CALL)],
        [HELLO, assistant(CALL), HELLO],
        [HELLO, assistant(CALL), assistant(TEXT), user(RESULT)],
        [HELLO, assistant(CALL), user(TEXT, RESULT)],
        [HELLO, user(RESULT)],
        [HELLO, assistant(CALL), user({**RESULT, "tool_use_id": "d"})],
        [HELLO, assistant({**THOUGHT, "signature": "x"}), HELLO],
        [HELLO, assistant({"type": "text", "text": ""}), HELLO],
        [HELLO, assistant(), HELLO],
        [HELLO, assistant({"type": "text", "text": "x", "made_up": 1}), HELLO],
        [HELLO, assistant({"type": "made_up"}), HELLO],
        [HELLO, assistant({**CALL, "input": "{}"}), user(RESULT)],
        [HELLO, user(CALL)],
        [HELLO, assistant(RESULT)],
        [{**HELLO, "made_up": 1}],
        [SYSTEM, HELLO],
        [HELLO, assistant(TEXT), SYSTEM],
        [HELLO, assistant(CALL), SYSTEM, user(RESULT)],
        [{**HELLO, "role": "developer"}],
    ],
)
def test_what_is_not_in_order_is_refused(messages):
    with pytest.raises(InvalidRequestError):
        check(request(*messages))


@pytest.mark.parametrize(
    "fields",
    [
        {"made_up": 1},
        {"tools": [TOOL, TOOL]},
        {"tools": [{**TOOL, "input_schema": {}}]},
        {"tools": [{**TOOL, "input_schema": {"type": "object", "properties": {"a[b]": {}}}}]},
        {"tools": [], "tool_choice": {"type": "auto"}},
        {"tool_choice": {"type": "auto", "made_up": 1}},
    ],
)
def test_fields_are_checked(fields):
    with pytest.raises(InvalidRequestError):
        check(request(HELLO, **fields))
