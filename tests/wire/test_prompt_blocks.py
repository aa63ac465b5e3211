"""The blocks of a request's prompt, in the order of the cache."""

import json

import pytest

from aibridged.wire import prompt_blocks as module
from aibridged.wire.facts import WireApi
from aibridged.wire.large_request import SMALL_BYTES
from aibridged.wire.outline import Outline, run
from aibridged.wire.prompt_blocks import MAX_BLOCKS, MAX_ELEMENTS, prompt_blocks

MARKER = {"type": "ephemeral"}
AN_HOUR = {"type": "ephemeral", "ttl": "1h"}


def blocks(api, body):
    """Those of a request, the same whether it is read at once or in steps."""
    source = json.dumps(body).encode()
    found = [block for block in prompt_blocks(api, source) if block is not None]
    padded = source[:-1] + b" " * (SMALL_BYTES + 1024 * 1024) + b"}"
    padded = json.dumps({**body, "metadata": "x" * 1024 * 1024}).encode()
    members = run(Outline(padded).whole())
    for known in (None, members):
        large = [block for block in prompt_blocks(api, padded, known) if block is not None]
        assert [_told(block) for block in large] == [_told(block) for block in found]
    return found


def _told(block):
    return block._replace(content=tuple(bytes(piece) for piece in block.content))


def shapes(api, body):
    return [(each.kind, each.role, each.lifetime) for each in blocks(api, body)]


def test_messages_come_in_the_order_of_the_cache():
    body = {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "1", "name": "ls", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "1", "cache_control": MARKER}],
            },
        ],
        "thinking": {"type": "enabled"},
        "tool_choice": {"type": "auto"},
        "system": [{"type": "text", "text": "Be kind.", "cache_control": AN_HOUR}],
        "tools": [{"name": "ls"}, {"name": "cat", "cache_control": None}],
        "speed": "fast",
        "temperature": 1,
        "model": "m",
    }
    assert shapes(WireApi.MESSAGES, body) == [
        ("speed", "", 0),
        ("tool", "", 0),
        ("tool", "", 0),
        ("system", "system", 3600),
        ("tool_choice", "", 0),
        ("thinking_mode", "", 0),
        ("text", "user", 0),
        ("thinking", "assistant", 0),
        ("tool_use", "assistant", 0),
        ("tool_result", "user", 300),
    ]


def test_a_marker_of_the_whole_request_is_one_at_its_end():
    body = {"messages": [{"role": "user", "content": "hi"}], "cache_control": AN_HOUR}
    assert shapes(WireApi.MESSAGES, body) == [("text", "user", 3600)]


def test_chat_completions():
    body = {
        "prompt_cache_key": "k",
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "ls"}}],
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}, {"id": "2"}]},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
            {"role": "assistant", "content": None},
        ],
    }
    assert shapes(WireApi.CHAT_COMPLETIONS, body) == [
        ("prompt_cache_key", "", 0),
        ("response_format", "", 0),
        ("tool", "", 0),
        ("text", "system", 0),
        ("text", "user", 0),
        ("image_url", "user", 0),
        ("tool_call", "assistant", 0),
        ("tool_call", "assistant", 0),
        ("text", "tool", 0),
        ("item", "assistant", 0),
    ]


def test_responses():
    body = {
        "text": {"verbosity": "low"},
        "tools": [{"type": "function", "name": "ls"}],
        "instructions": "Be kind.",
        "previous_response_id": "resp_1",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"role": "user", "content": "b"},
            {"type": "reasoning", "id": "r", "encrypted_content": "x"},
            {"type": "function_call_output", "call_id": "1", "output": "done"},
            "odd",
        ],
    }
    assert shapes(WireApi.RESPONSES, body) == [
        ("text_format", "", 0),
        ("tool", "", 0),
        ("system", "system", 0),
        ("previous_response", "", 0),
        ("text", "user", 0),
        ("text", "user", 0),
        ("reasoning", "", 0),
        ("function_call_output", "", 0),
        ("item", "", 0),
    ]
    assert shapes(WireApi.RESPONSES, {"input": "hi"}) == [("text", "user", 0)]


TEXT = {"type": "text", "text": "hi"}
SAME = [
    ("a text alone or in a list", "hi", [TEXT]),
    ("markers", [TEXT], [{**TEXT, "cache_control": MARKER}]),
    ("order", [TEXT], [{"text": "hi", "type": "text"}]),
]
OTHERS = [
    ("the text", "hi", "ho"),
    ("more beside it", [TEXT], [{**TEXT, "citations": []}]),
    ("its type", [TEXT], [{"type": "input_image", "text": "hi"}]),
]


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in SAME])
def test_what_changes_no_prompt_changes_no_block(one, other):
    first, second = (
        _told(blocks(WireApi.MESSAGES, {"messages": [{"role": "user", "content": content}]})[0])
        for content in (one, other)
    )
    assert (first.kind, first.role, first.content) == (second.kind, second.role, second.content)


@pytest.mark.parametrize(("one", "other"), [pair[1:] for pair in OTHERS])
def test_what_changes_a_prompt_changes_its_block(one, other):
    first, second = (
        _told(blocks(WireApi.MESSAGES, {"messages": [{"role": "user", "content": content}]})[0])
        for content in (one, other)
    )
    assert (first.kind, first.content) != (second.kind, second.content)


def test_the_role_and_what_stands_beside_the_content_count():
    def first(**message):
        return _told(blocks(WireApi.CHAT_COMPLETIONS, {"messages": [message]})[0]).content

    assert first(role="user", content="a") != first(role="assistant", content="a")
    assert first(role="tool", tool_call_id="1", content="a") != first(
        role="tool", tool_call_id="2", content="a"
    )


def test_words_of_a_callers_are_short():
    message = {"role": "user" * 20, "content": "a"}
    part = {"type": "x" * 33, "a": 1}
    body = {"messages": [message, {"role": "user", "content": [part, {"type": 'q"\n'}]}]}
    assert [(each.kind, each.role) for each in blocks(WireApi.MESSAGES, body)] == [
        ("item", ""),
        ("item", "user"),
        ("item", "user"),
    ]


def test_what_is_large_is_not_taken_apart(monkeypatch):
    crowded = {"role": "user", "content": [{"type": "text", "text": "aa"}] * MAX_ELEMENTS}
    body = {"messages": [crowded, {"role": "user", "content": "b"}]}
    assert shapes(WireApi.MESSAGES, body) == [("item", "", 0), ("text", "user", 0)]
    monkeypatch.setattr(module, "ITEM_BYTES", 10)
    assert shapes(WireApi.MESSAGES, {"messages": [{"role": "user", "content": "b"}]}) == [
        ("item", "", 0)
    ]


def test_of_many_messages_the_first_are_scanned(monkeypatch):
    scanned = []
    elements = Outline.elements

    def counting(self, span, first=None):
        scanned.append(first)
        return elements(self, span, first)

    monkeypatch.setattr(Outline, "elements", counting)
    many = [{"role": "user", "content": "a" * 300}] * (MAX_BLOCKS + 10)
    body = json.dumps({"messages": many}).encode()
    assert len([each for each in prompt_blocks(WireApi.MESSAGES, body) if each]) == MAX_BLOCKS
    assert scanned == [MAX_BLOCKS]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":[', b'{"messages":3}', b"{}"])
def test_what_is_no_request_has_few_blocks(body):
    for source in (body, body + b" " * 2 * 1024 * 1024):
        assert len([each for each in prompt_blocks(WireApi.MESSAGES, source) if each]) <= 1


def test_half_an_emoji_and_bytes_that_are_no_text_are_no_obstacle():
    body = b'{"messages":[{"role":"user","content":"\\ud83d"},{"role":"user","content":"\xff"}]}'
    found = [each for each in prompt_blocks(WireApi.MESSAGES, body) if each]
    assert [each.kind for each in found] == ["item", "text"]
