"""Models that call the gateway's tools in odd ways: the tool runs, and the record says so."""

import json

import pytest

from aibridged.config.options import McpServerSettings
from aibridged.fake_provider import Answer, Script

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

SERVERS = (McpServerSettings("files", "http://files/mcp"),)
NAME = '"name":"bmcp_files_read"'
PATH = '{\\"path\\":\\"a\\"}'
JSON, STREAM = (("Content-Type", "application/json"),), (("Content-Type", "text/event-stream"),)
LAST = Script(answer=Answer(text="Done."))


def calling(*pieces):
    """A stream of Chat Completions in which a call comes in these pieces."""
    chunks = [
        f'{{"id":"c","model":"m","choices":[{{"index":0,"delta":{{"tool_calls":[{piece}]}}}}]}}'
        for piece in pieces
    ]
    chunks += [
        '{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
        '{"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}',
        "[DONE]",
    ]
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


def completion(function):
    call = f'{{"id":"call_1","type":"function","function":{function}}}'
    return (
        f'{{"id":"c","model":"m","choices":[{{"index":0,"message":{{"tool_calls":[{call}]}},'
        '"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
    ).encode()


def response(item):
    return (
        f'{{"id":"r","object":"response","status":"completed","output":[{item}],'
        '"usage":{"input_tokens":10,"output_tokens":5}}'
    ).encode()


@pytest.fixture
def ask(recording, toolbox, client, fake):
    """Plays an answer, then a last one; returns status, body, and the rows of the tool calls."""

    async def ask(script, api="chat", **fields):
        fake.play(script, LAST)
        gateway = await recording.start(mcp_servers=SERVERS)
        path = "/openai/v1/chat/completions" if api == "chat" else "/openai/v1/responses"
        said = [{"role": "user", "content": "hi"}]
        asked = {"model": "m", ("messages" if api == "chat" else "input"): said, **fields}
        async with client.post(gateway.url + path, json=asked) as answer:
            status, body = answer.status, await answer.read()
        (found,) = await recording.rows()
        assert found["interception"]["outcome"] == "completed"
        return status, body, found["aibridge_tool_usages"]

    return ask


def assert_ran(rows, toolbox, arguments, call_id="call_1"):
    assert toolbox.called == [("read", arguments)]
    (row,) = rows
    assert (row["tool"], row["server_url"], row["injected"]) == ("read", "http://files/mcp", True)
    assert row["invocation_error"] is None
    assert row["provider_tool_call_id"] == call_id
    assert "partial" not in row["metadata"]


def piece(arguments, index='"index":0,"id":"call_1"', name=NAME):
    function = f'{{{name},"arguments":{arguments}}}'
    return f'{{{index},"type":"function","function":{function}}}'


@pytest.mark.parametrize(
    ("pieces", "arguments", "call_id"),
    [
        ([piece(f'"{PATH}"', '"index":0')], {"path": "a"}, "call_0"),
        (
            [
                piece('"{\\"path\\":"'),
                piece('"\\"a\\"}"', '"index":0,"id":"call_2"', '"name":null'),
            ],
            {"path": "a"},
            "call_1",
        ),
        ([piece('" "')], {}, "call_1"),
        ([piece('""')], {}, "call_1"),
        ([piece("null")], {}, "call_1"),
        ([piece('{"path":"a"}')], {"path": "a"}, "call_1"),
        ([piece(f'"{PATH}"', '"id":"call_1","x":NaN')], {"path": "a"}, "call_1"),
    ],
    ids=["no id", "the id changes", "blank", "empty", "null", "an object", "NaN"],
)
@pytest.mark.parametrize("headers", [STREAM, JSON, ()], ids=["stream", "as JSON", "no type"])
async def test_streamed_calls(ask, toolbox, fake, pieces, arguments, call_id, headers):
    script = Script(stream=(calling(*pieces),), headers=headers)
    status, body, rows = await ask(script, stream=True, stream_options={"include_usage": True})
    assert status == 200
    assert b"bmcp_" not in body
    assert b"Done." in body
    assert_ran(rows, toolbox, arguments, call_id)
    sent = fake.requests[-1].json()["messages"]
    assert sent[-2]["tool_calls"][0]["id"] == sent[-1]["tool_call_id"] == call_id
    assert json.loads(sent[-2]["tool_calls"][0]["function"]["arguments"]) == arguments


@pytest.mark.parametrize(
    ("given", "arguments"),
    [('{"path":"a"}', {"path": "a"}), ("null", {}), ('""', {}), (f'"{PATH}"', {"path": "a"})],
)
@pytest.mark.parametrize("headers", [JSON, ()], ids=["JSON", "no type"])
async def test_blocking_calls(ask, toolbox, given, arguments, headers):
    body = completion(f'{{{NAME},"arguments":{given}}}')
    status, body, rows = await ask(Script(body=body, headers=headers))
    assert status == 200
    assert b"Done." in body
    assert_ran(rows, toolbox, arguments)


@pytest.mark.parametrize(
    ("given", "arguments"), [('{"path":"a"}', {"path": "a"}), ("null", {}), ('" "', {})]
)
async def test_calls_of_a_response(ask, toolbox, given, arguments):
    item = f'{{"type":"function_call","id":"fc","call_id":"call_1",{NAME},"arguments":{given}}}'
    status, body, rows = await ask(Script(body=response(item), headers=JSON), "responses")
    assert status == 200
    assert b"Done." in body
    assert_ran(rows, toolbox, arguments)
