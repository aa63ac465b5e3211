"""What a tool answers is told as text, whatever it was, and never too much of it."""

import json

import pytest
from mcp_types import CallToolResult

from aibridged.mcp.results import MAX_BLOCKS, as_tool_result, cut, lightened
from aibridged.mcp.tools import ToolResult

PLENTY = 10_000


def told(*content, **fields):
    result = CallToolResult.model_validate({"content": list(content), **fields})
    return as_tool_result(result, PLENTY)


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "text", "text": "hällo\n"}, "hällo\n"),
        (
            {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"},
            "[an image, image/png, 6 bytes, which can't be shown]",
        ),
        (
            {"type": "audio", "data": "aGVsbG8=", "mimeType": "audio/wav"},
            "[audio, audio/wav, 6 bytes, which can't be played]",
        ),
        (
            {"type": "resource_link", "name": "n", "uri": "file:///a", "description": "notes"},
            "[n: file:///a] notes",
        ),
        ({"type": "resource_link", "name": "n", "uri": "file:///a"}, "[n: file:///a]"),
        (
            {"type": "resource", "resource": {"uri": "file:///a.md", "text": "# A"}},
            "[file:///a.md]\n# A",
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": "aGVsbG8="}},
            "[a file, file:///a.bin, of an unknown type, 6 bytes]",
        ),
    ],
)
def test_each_kind_of_content(block, text):
    assert told(block) == ToolResult(text)


def test_contents_follow_each_other():
    assert told({"type": "text", "text": "a"}, {"type": "text", "text": "b"}).text == "a\nb"


def test_structured_content_is_told_where_there_is_no_text():
    structured = {"größe": 1, "list": [True, None]}
    assert told(structuredContent=structured).text == '{"größe": 1, "list": [true, null]}'
    text = {"type": "text", "text": "1"}
    assert told(text, structuredContent=structured).text == "1"


def test_nothing_is_told_to_be_nothing():
    assert told() == ToolResult("(The tool returned no output.)")
    assert told({"type": "text", "text": ""}).text == "(The tool returned no output.)"


def test_an_error_is_one():
    failed = told({"type": "text", "text": "out of paper"}, isError=True)
    assert failed == ToolResult("out of paper", is_error=True)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc\n\n[Cut here: the result has 4 bytes, 3 are passed on.]"),
        ("aéé", 4, "aé\n\n[Cut here: the result has 5 bytes, 4 are passed on.]"),
        ("a\ud800", 10, "a?"),
    ],
)
def test_what_is_too_long_is_cut_between_characters_and_says_so(text, limit, expected):
    assert cut(text, limit) == expected


def message_of(*content):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": content, "isError": True}})


def text(said):
    return {"type": "text", "text": said}


IMAGE = {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}


def lighter(*content):
    found = json.loads(lightened(message_of(*content).encode()))
    assert found["id"] == 1
    assert found["result"]["isError"]
    return found["result"]["content"]


def test_few_blocks_stay_as_they_are():
    message = message_of(*[text("a, b")] * (MAX_BLOCKS - 1), IMAGE).encode()
    assert json.loads(lightened(message)) == json.loads(message)
    for odd in (b"", b"[]", b"{" * 9_000, b'{"result":{"content":{}}}' + b"," * MAX_BLOCKS):
        assert lightened(odd) == odd


def test_of_many_blocks_the_texts_are_joined():
    blocks = [*[text(f"{number}") for number in range(MAX_BLOCKS)], IMAGE, text("x"), text("y")]
    lines = "\n".join(map(str, range(MAX_BLOCKS)))
    assert lighter(*blocks) == [text(lines), IMAGE, text("x\ny")]


@pytest.mark.parametrize("odd", [IMAGE, 7, {"type": "text", "text": None}])
def test_of_many_others_the_first_are_kept(odd):
    found = lighter(*[odd] * MAX_BLOCKS, text("a"), *[odd] * 7)
    left_out = text("[7 other parts of the result are left out.]")
    assert found == [*[odd] * MAX_BLOCKS, text("a"), left_out]


def test_half_a_character_becomes_a_mark():
    message = b'{"result":{"content":[{"type":"text","text":"a\\ud83d"}]}}'
    assert lightened(message) == message.replace(rb"\ud83d", rb"\ufffd")
