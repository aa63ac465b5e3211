"""Which tools are offered: by the rules, by what providers take, and in a stable order."""

import json
import re

import pytest

from aibridged.config.options import McpServerSettings
from aibridged.mcp.listing import ToolList
from aibridged.mcp.schemas import Schemas
from aibridged.mcp.selection import select
from aibridged.mcp.tools import Tool

OLD, NEW = "2025-06-18", "2026-07-28"
SCHEMA = {"type": "object", "properties": {"a": {"description": "Größe"}}, "z": 1, "a": 2}


def listed(name, **fields):
    return json.dumps({"name": name, "inputSchema": SCHEMA, **fields}).encode()


def chosen(*tools, allow=None, deny=None, most=10, url="http://x/mcp?key=canary", version=OLD):
    server = McpServerSettings(
        "docs",
        url,
        tool_allow_regex=re.compile(allow) if allow else None,
        tool_deny_regex=re.compile(deny) if deny else None,
    )
    return select(server, ToolList(version, tools), Schemas(), most)


def names(selection):
    return [tool.tool for tool in selection.tools]


def test_a_tool_is_what_the_server_says_it_is():
    (tool,) = chosen(listed("search", description="Finds.", title="Search")).tools
    assert tool == Tool(
        name="bmcp_docs_search",
        server="docs",
        server_url="http://x/mcp",
        tool="search",
        description="Finds.",
        input_schema=json.dumps(SCHEMA, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def test_a_title_describes_what_nothing_else_does():
    assert chosen(listed("a", title="The A")).tools[0].description == "The A"
    assert chosen(listed("a")).tools[0].description == ""


def test_a_description_has_an_end():
    assert len(chosen(listed("a", description="x" * 100_000)).tools[0].description) == 8192


def test_the_order_is_that_of_the_names_whatever_the_servers():
    tools = [listed(name) for name in ("b", "a", "C", "a b", "a-b")]
    assert names(chosen(*tools)) == names(chosen(*reversed(tools))) == ["C", "a", "a-b", "a b", "b"]


@pytest.mark.parametrize(
    ("allow", "deny", "offered"),
    [
        (None, None, ["read_a", "read_private", "write_a"]),
        ("^read_", None, ["read_a", "read_private"]),
        (None, "private", ["read_a", "write_a"]),
        ("^read_", "private$", ["read_a"]),
        ("read_private", "private", []),
        ("a$", None, ["read_a", "write_a"]),
    ],
)
def test_deny_wins_over_allow_and_neither_means_all(allow, deny, offered):
    tools = [listed(name) for name in ("read_a", "read_private", "write_a")]
    selection = chosen(*tools, allow=allow, deny=deny)
    assert names(selection) == offered
    assert {*offered, *selection.hidden} == {"read_a", "read_private", "write_a"}


def test_a_server_that_offers_too_much_offers_nothing():
    tools = [listed(f"tool-{number:02}") for number in range(11)]
    assert names(chosen(*tools[:10])) == [f"tool-{number:02}" for number in range(10)]
    selection = chosen(*tools)
    assert (selection.tools, selection.faults) == ((), ())
    assert selection.error.startswith("it offers 11 tools, and 10 are allowed; choose some with")
    assert len(chosen(*tools, deny="0$").tools) == 9


def test_what_a_provider_would_refuse_is_left_out_and_told():
    selection = chosen(
        listed("good"),
        listed("bad", inputSchema={"type": "object", "minProperties": "x"}),
        listed(""),
        listed("nan", inputSchema={"type": "object", "default": float("nan")}),
        listed("half", inputSchema={"type": "object", "title": "\ud800"}),
        listed("deep").replace(b'"a": 2', b'"a": ' + b"[" * 2000 + b"]" * 2000),
    )
    assert names(selection) == ["good"]
    assert selection.faults == [
        "'bad': its schema is not a valid JSON Schema (draft 2020-12)",
        "'': it has no name",
        "'nan': its schema can't be written as JSON",
        "'half': its schema can't be written as JSON",
        "entry 6: it is not valid JSON, or nests too deep",
    ]


ARRAY = {"type": "array"}
ODD = {
    "'b': outputSchema.type: Input should be 'object'": listed("b", outputSchema=ARRAY),
    "'b': inputSchema: Input should be a valid dictionary": listed("b", inputSchema=7),
    "'b': description: Input should be a valid string": listed("b", description=["x"]),
    "entry 1: name: Input should be a valid string": listed(7),
    "entry 1: inputSchema: Field required": b"{}",
    "entry 1: Input should be a valid dictionary": b"[7]",
    "'a\\nb': annotations: Input should be a valid dictionary": listed("a\nb", annotations=7),
}


@pytest.mark.parametrize("fault", ODD)
def test_what_is_no_tool_is_left_out_alone_and_told(fault):
    selection = chosen(ODD[fault], listed("echo"))
    assert names(selection) == ["echo"]
    (told,) = selection.faults
    assert told.startswith(fault)


def test_each_version_has_its_own_rules():
    array = listed("b", outputSchema=ARRAY)
    assert chosen(array).error.startswith("none of its tools can be offered: 'b': outputSchema.")
    mirrored = {"type": "object", "properties": {"a": {"type": "array", "x-mcp-header": "A"}}}
    wrong = listed("c", inputSchema=mirrored)
    assert names(chosen(array, wrong, version=OLD)) == ["c"]
    assert names(chosen(array, wrong, version="2024-11-05")) == ["c"]
    selection = chosen(array, wrong, version=NEW)
    assert names(selection) == ["b"]
    assert selection.faults[0].startswith("'c': property 'a': x-mcp-header is only permitted on")


def test_what_is_no_tool_counts_and_is_not_read_where_there_are_too_many():
    selection = chosen(*[b"{}"] * 11)
    assert selection.error.startswith("it offers 11 tools, and 10 are allowed")
    assert selection.faults == ()


def test_a_schema_of_alternatives_tells_its_parameters():
    schema = {"type": "object", "oneOf": [{"properties": {"id": {"type": "string"}}}]}
    (tool,) = chosen(listed("get", inputSchema=schema)).tools
    assert json.loads(tool.input_schema) == {
        "type": "object",
        "properties": {"id": {"type": "string"}},
    }


def test_a_tool_that_is_listed_twice_is_one():
    assert names(chosen(listed("a"), listed("a"))) == ["a"]
