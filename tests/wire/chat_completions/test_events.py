"""What a message holds, however a server puts it."""

import pytest

from aibridged.wire.chat_completions.events import (
    PARSER,
    Piece,
    function_call_in,
    pieces_in,
    thought_in,
)
from aibridged.wire.facts import ProviderError


def test_pieces_however_they_are_put() -> None:
    function = {"name": "f", "arguments": {"a": 1}}
    call = {"index": "0", "id": 7, "function": function}
    assert pieces_in({"tool_calls": call}) == [Piece(0, "7", "f", '{"a":1}', True, call)]
    custom = {"index": 1, "id": None, "custom": {"name": "g", "input": "x"}}
    odd = [custom, None, 3, {"function": []}]
    assert pieces_in({"tool_calls": odd}) == [
        Piece(1, "", "g", "x", False, custom),
        Piece(None, "", "", "", True, {"function": []}),
    ]
    assert pieces_in({"tool_calls": "f"}) == pieces_in({"tool_calls": 7}) == pieces_in({}) == []


def test_the_call_of_a_function_has_no_id() -> None:
    call = {"name": "f", "arguments": "{}"}
    found = function_call_in({"function_call": call})
    assert found == Piece(None, "", "f", "{}", True, {"function": call})
    assert function_call_in({"function_call": "f"}) is function_call_in({}) is None


def test_reasoning_by_any_name() -> None:
    assert thought_in({"reasoning_content": "", "reasoning": "a", "reasoning_text": "b"}) == "a"
    assert thought_in({"reasoning": {"a": 1}, "reasoning_text": 7}) == thought_in({}) == ""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":null,"choices":[]}', None),
        (b'{"error":{"type":"t","code":5}}', ProviderError("t", "5", None)),
        (b'{"object":"error","type":"t","message":"m"}', ProviderError("t", None, "m")),
        (b'{"type":"error","code":"c"}', ProviderError(None, "c", None)),
        (b'{"object":"chat.completion"}', None),
    ],
)
def test_failures(body: bytes, error: ProviderError | None) -> None:
    assert PARSER.decode(body).failure() == error


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        (b"{}", None),
        (b'{"finish_reason":"stop","error":null}', None),
        (b'{"finish_reason":"error"}', ProviderError("error", None, None)),
        (b'{"error":{"code":502,"message":"m"}}', ProviderError(None, "502", "m")),
    ],
)
def test_failures_of_a_choice(choice: bytes, error: ProviderError | None) -> None:
    (found,) = PARSER.decode(b'{"choices":[%b]}' % choice).choices or ()
    assert found.failure() == error
