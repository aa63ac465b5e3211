"""Tool lists are read entry by entry and off the event loop, however a server sends them."""

import json
import re
import time
from typing import Annotated

import pytest
from aiohttp import web
from pydantic import AfterValidator, TypeAdapter, ValidationError

from aibridged.mcp.listing import Listing, _reason, name_of
from tests.mcp.conftest import tool

NEW = "2026-07-28"
SLOPPY = {"name": "b", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array"}}


def as_json(message, result):
    text = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
    return web.Response(text=text, content_type="application/json")


def as_events(message, result):
    """As several events, the last one on many lines, with fields of its own."""
    log = {"level": "info", "data": 1}
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": log}
    answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
    lines = "".join(f"data: {line}\n" for line in json.dumps(answer, indent=1).split("\n"))
    text = f": hi\n\ndata: {json.dumps(note)}\n\nevent: message\nid: 7\nretry: 9\n{lines}\n"
    return web.Response(text=text, content_type="text/event-stream")


@pytest.fixture(params=[as_json, as_events])
def listing(request, tiny):
    """Makes the tiny server list these tools, in one way or the other."""

    def listing(*tools, **fields):
        async def answer(asked, message):
            return request.param(message, {"tools": tools, **fields})

        tiny.answers["tools/list"] = answer

    return listing


def names(box):
    return [each.tool for each in box.tools]


async def test_one_sloppy_entry_costs_itself_alone_and_is_named(
    listing, open_tools, tiny, warnings
):
    listing(SLOPPY, tool("echo"))
    box = await open_tools({"docs": tiny.url})
    assert names(box) == ["echo"]
    (warning,) = warnings
    assert re.match(r"Skipped tools of the MCP server docs: 'b': outputSchema\.type: ", warning)
    assert (await box.call(box.tools[0], b'{"n": 1}')).text == '{"n": 1}'


@pytest.mark.parametrize("odd", [float("nan"), "\ud83d"])
async def test_json_that_is_none_costs_its_entry_alone(listing, open_tools, tiny, warnings, odd):
    listing(tool("b", inputSchema={"type": "object", "default": odd}), tool("echo"))
    assert names(await open_tools({"docs": tiny.url})) == ["echo"]
    assert warnings == [
        "Skipped tools of the MCP server docs: 'b': its schema can't be written as JSON"
    ]


async def test_a_list_without_a_tool_in_it_is_none(listing, open_tools, tiny, warnings):
    listing({}, 7)
    assert await open_tools({"docs": tiny.url}) is None
    assert warnings == [
        "The tools of the MCP server docs are unavailable: none of its tools can be offered: "
        "entry 1: inputSchema: Field required"
    ]


async def test_arguments_that_belong_into_headers_get_there(
    listing, open_tools, speaking_modern, tiny
):
    """The SDK puts them there, given what it needs of the list."""
    nested = {"type": "object", "properties": {"b": {"type": "string", "x-mcp-header": "Deep"}}}
    number = {"type": "integer", "x-mcp-header": "Number"}
    schema = {"type": "object", "properties": {"n": number, "a": nested}}
    tools = [tool("echo", inputSchema=schema), tool("plain")]
    listing(*tools, resultType="complete", ttlMs=0, cacheScope="private")

    async def call(request, message):
        assert message["params"]["name"] == "echo"
        content = [{"type": "text", "text": "done"}]
        return as_json(message, {"content": content, "resultType": "complete"})

    tiny.answers["tools/call"] = call
    box = await open_tools({"docs": tiny.url})
    assert json.loads(box.tools[0].input_schema) == schema
    arguments = json.dumps({"n": 7, "a": {"b": "x"}}).encode()
    assert (await box.call(box.tools[0], arguments)).text == "done"
    headers = tiny.received[-1][1]
    assert (headers["Mcp-Param-Number"], headers["Mcp-Param-Deep"]) == ("7", "x")


LONG = json.dumps([tool(f"tool-{number}") for number in range(5000)]).encode()
CROWDED = b"[%b{}]" % (b"{}," * 340_000)


@pytest.mark.parametrize(("listed", "count"), [(LONG, 5000), (CROWDED, 0)], ids=["long", "crowded"])
async def test_a_long_list_is_not_read_on_the_event_loop(open_tools, tiny, warnings, listed, count):
    assert 600_000 < len(listed) < 1_048_000

    async def answer(request, message):
        head = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":' % message["id"]
        return web.Response(body=head + listed + b"}}", content_type="application/json")

    async def opening():
        """Seconds of CPU that the loop's thread takes."""
        began = time.thread_time()
        box = await open_tools({"docs": tiny.url}, mcp_max_tools=10_000)
        return time.thread_time() - began, [] if box is None else box.tools

    await opening()  # the first one costs more
    few, _ = await opening()
    tiny.answers["tools/list"] = answer
    for _ in range(5):  # the others are noise
        many, tools = await opening()
        if many - few < 0.02:
            break
    assert len(tools) == count
    if count == 0:
        assert "its tool list has more than 20000 entries" in warnings[0]
    assert many - few < 0.02, (few, many)


class TestTaking:
    """What the SDK gets."""

    def take(self, message, version=NEW):
        listing = Listing()
        listing.version = version
        return json.loads(listing.take(json.dumps(message).encode())), listing.entries

    def test_messages_without_tools_pass(self):
        for message in (
            {"id": 1, "result": {"capabilities": {"tools": {}}}},
            {"id": 1, "result": {"tools": {}}},
            {"id": 1, "result": [1]},
            {"id": 1, "error": {"code": 1}},
            {"id": 1, "result": {"n": float("inf")}},
            [1],
        ):
            assert self.take(message) == (message, [])

    def test_the_rest_of_a_list_passes(self):
        told, entries = self.take({"id": 7, "result": {"tools": [1, {"a": 2}], "nextCursor": "x"}})
        assert told == {"id": 7, "result": {"tools": [], "nextCursor": "x"}}
        assert entries == [b"1", b'{"a": 2}']

    def test_headers_are_of_the_newest_version_alone(self):
        schema = {"type": "object", "properties": {"n": {"type": "string", "x-mcp-header": "N"}}}
        message = {"result": {"tools": [{"name": "a", "title": "A", "inputSchema": schema}]}}
        assert self.take(message)[0] == {
            "result": {"tools": [{"name": "a", "inputSchema": schema}]}
        }
        assert self.take(message, "2025-11-25")[0] == {"result": {"tools": []}}

    @pytest.mark.parametrize("body", [b"", b"{nonsense", b"\xff", b'{"result":' + b"[" * 100_000])
    def test_what_is_no_json_is_cut_short(self, body):
        assert Listing().take(body) == b"{"


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (b'{"name": "a", "n": NaN}', "a"),
        (b'{"name": "\\ud83d"}', "\ud83d"),
        (b'{"name": 7}', None),
        (b"{}", None),
        (b"7", None),
        (b"nonsense", None),
        (b"[" * 100_000, None),
    ],
)
def test_names(entry, name):
    assert name_of(entry) == name


def test_a_validators_own_words_come_without_the_librarys():
    def refuse(_):
        raise ValueError("it is too blue")

    with pytest.raises(ValidationError) as told:
        TypeAdapter(Annotated[str, AfterValidator(refuse)]).validate_python("canary")
    assert _reason(told.value) == "it is too blue"
