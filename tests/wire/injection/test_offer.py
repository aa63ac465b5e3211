import json

import pytest

from aibridged.mcp.tools import Tool
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.inject import MAX_TOOLS
from aibridged.wire.injection.offer import MAX_CHAT_DESCRIPTION, Offer


def tool(name="bmcp_a_b", description="Reads.", schema=b'{"type":"object","properties":{}}'):
    return Tool(name, "a", "http://a", "b", description, schema)


def encoded(api, *tools):
    return [json.loads(raw) for _, raw in Offer(tools).encoded(api)]


def test_each_api_has_its_shape():
    schema = {"type": "object", "properties": {}}
    named = {"name": "bmcp_a_b", "description": "Reads."}
    assert encoded(WireApi.MESSAGES, tool()) == [{**named, "input_schema": schema}]
    assert encoded(WireApi.CHAT_COMPLETIONS, tool()) == [
        {"type": "function", "function": {**named, "parameters": schema}}
    ]
    assert encoded(WireApi.RESPONSES, tool()) == [
        {"type": "function", **named, "parameters": schema, "strict": False}
    ]


@pytest.mark.parametrize("api", MAX_TOOLS)
def test_the_order_is_the_toolboxs_and_encoding_happens_once(api):
    offer = Offer([tool("c"), tool("a"), tool("b")])
    assert [name for name, _ in offer.encoded(api)] == ["c", "a", "b"]
    assert offer.encoded(api) is offer.encoded(api)


def test_schemas_stay_as_they_are():
    schema = b'{"type":"object", "properties":{}, "n":1.0}'
    ((_, raw),) = Offer([tool(schema=schema)]).encoded(WireApi.MESSAGES)
    assert raw.endswith(b'"input_schema":%b}' % schema)


def test_no_description_is_better_than_an_empty_one_and_chat_takes_a_short_one_only():
    assert "description" not in encoded(WireApi.MESSAGES, tool(description=""))[0]
    long = tool(description="x" * 2000)
    assert len(encoded(WireApi.CHAT_COMPLETIONS, long)[0]["function"]["description"]) == (
        MAX_CHAT_DESCRIPTION
    )
    assert len(encoded(WireApi.RESPONSES, long)[0]["description"]) == 2000
