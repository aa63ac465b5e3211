"""Each type of output item: what its call is named, what its arguments are, who runs it."""

from typing import Any

import msgspec
import pytest

from aibridged.wire.collector import Collector, Text
from aibridged.wire.responses.items import Item, add_tool_call, is_tool_call, thoughts_of


def item(kind: str, **fields: Any) -> Item:
    return msgspec.json.decode(msgspec.json.encode({"type": kind, **fields}), type=Item)


@pytest.mark.parametrize(
    ("call", "name", "arguments", "server_side"),
    [
        (item("function_call", name="f", arguments='{"a":1}'), "f", '{"a":1}', False),
        (item("custom_tool_call", name="g", input="a\nb"), "g", "a\nb", False),
        (item("computer_call", action={"type": "wait"}), "computer", '{"type":"wait"}', False),
        (item("computer_call", action=None, actions=[{}]), "computer", "[{}]", False),
        (item("local_shell_call", action={"command": []}), "local_shell", '{"command":[]}', False),
        (item("shell_call", action={}, environment={"type": "local"}), "shell", "{}", False),
        (item("shell_call", action={}, environment=None), "shell", "{}", False),
        (
            item("shell_call", action={}, environment={"type": "container_reference"}),
            "shell",
            "{}",
            True,
        ),
        (item("apply_patch_call", operation={"path": "a"}), "apply_patch", '{"path":"a"}', False),
        (item("tool_search_call", arguments={"q": 1}), "tool_search", '{"q":1}', False),
        (item("tool_search_call", arguments={}, execution="server"), "tool_search", "{}", True),
        (item("mcp_call", name="roll", arguments="{}"), "roll", "{}", True),
        (
            item("web_search_call", action={"type": "search"}),
            "web_search",
            '{"type":"search"}',
            True,
        ),
        (item("file_search_call", queries=["a"]), "file_search", '["a"]', True),
        (item("code_interpreter_call", code="1+1"), "code_interpreter", "1+1", True),
        (item("image_generation_call", revised_prompt="cat"), "image_generation", "cat", True),
        (item("program", code="f()"), "program", "f()", True),
    ],
)
def test_tool_calls(call: Item, name: str, arguments: str, server_side: bool) -> None:
    collector = Collector()
    assert is_tool_call(call)
    add_tool_call(collector, call, Text(collector), complete=True)
    (got,) = collector.tool_calls
    assert (got.name, got.arguments, got.server_side) == (name, arguments, server_side)
    assert got.complete


@pytest.mark.parametrize(
    ("call", "streamed", "complete"),
    [
        (item("function_call", arguments="{}"), "", True),
        (item("function_call", arguments=""), "{}", True),
        (item("function_call", arguments='{"a'), "", False),
        (item("function_call", arguments="{}", status="incomplete"), "", False),
        (item("web_search_call"), "", False),
    ],
)
def test_complete_calls(call: Item, streamed: str, complete: bool) -> None:
    collector = Collector()
    add_tool_call(collector, call, Text(collector, streamed), complete=True)
    add_tool_call(collector, call, Text(collector, streamed), complete=False)
    assert [got.complete for got in collector.tool_calls] == [complete, False]


def test_ids_of_calls() -> None:
    collector = Collector()
    for call in (
        item("function_call", id="fc", call_id="c"),
        item("web_search_call", id="ws"),
        item("function_call"),
    ):
        add_tool_call(collector, call, Text(collector), complete=True)
    ids = [(got.call_id, got.item_id) for got in collector.tool_calls]
    assert ids == [("c", "fc"), ("ws", "ws"), ("", None)]


SUMMARY = [{"type": "summary_text", "text": "S"}, {"type": "summary_text", "text": ""}]
OUTPUT = [{"type": "output_text", "text": "O"}, {"type": "refusal", "refusal": "R"}]


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        (item("reasoning", summary=SUMMARY), [("reasoning_summary", "S")]),
        (
            item("reasoning", summary=SUMMARY, content=[{"type": "reasoning_text", "text": "C"}]),
            [("reasoning_summary", "S"), ("reasoning", "C")],
        ),
        (item("reasoning", summary=None, content=None), []),
        (item("message", phase="commentary", content=OUTPUT), [("commentary", "O")]),
        (item("message", phase="final_answer", content=OUTPUT), []),
        (item("message", content=OUTPUT), []),
        (item("function_call_output", call_id="c", output="x"), []),
    ],
)
def test_thoughts(thought: Item, expected: list[tuple[str, str]]) -> None:
    assert not is_tool_call(thought)
    assert thoughts_of(thought) == expected
