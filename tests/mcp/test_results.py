"""What a tool answers is told as text, whatever it was, and never too much of it."""

import pytest
from mcp_types import CallToolResult

from aibridged.mcp.results import as_tool_result, cut
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
