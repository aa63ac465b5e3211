"""OpenAI's Responses: read, rendered, and accepted by the official SDK."""

import json

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from aibridged.fake_provider import Answer, Script, ToolCall, Usage
from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.responses import count, error_event, read, stream, whole

SPENT = Usage(input=3, output=9, cache_read=5, cache_write=7, reasoning=2)
RICH = Answer(
    text="Hello, you two.",
    thinking="Who is there?",
    calls=(ToolCall("look", '{"at": "it"}'), ToolCall("look", "{}")),
)
TOOL = {
    "type": "function",
    "name": "look",
    "parameters": {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
        "additionalProperties": False,
    },
    "strict": True,
}


def request(items: object, **fields: object) -> bytes:
    return json.dumps({"model": "gpt-x", "input": items, **fields}).encode()


@pytest.mark.parametrize(
    ("items", "text", "from_tool"),
    [
        ("hi", "hi", False),
        ([{"role": "user", "content": "hi"}], "hi", False),
        (
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "hi"}],
                }
            ],
            "hi",
            False,
        ),
        ([{"type": "message", "role": "assistant", "content": "ok"}], "", False),
        ([], "", False),
        (
            [
                {"role": "user", "content": "no"},
                {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "4"},
                {
                    "type": "function_call_output",
                    "call_id": "b",
                    "output": [{"type": "input_text", "text": "2"}],
                },
            ],
            "4 2",
            True,
        ),
    ],
)
def test_reads_the_last_words(items, text, from_tool):
    prompt = read(request(items))
    assert (prompt.model, prompt.text, prompt.from_tool) == ("gpt-x", text, from_tool)


def test_reads_the_options():
    tools = [{"type": "web_search"}, {"type": "custom", "name": "c"}, TOOL]
    prompt = read(request("a", tools=tools, stream=True, parallel_tool_calls=False))
    assert [tool.name for tool in prompt.tools] == ["look"]
    assert prompt.stream
    assert not prompt.parallel


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", request(7), request([{"type": 1}])])
def test_refuses_what_the_real_api_would(body):
    for reads in (read, count):
        with pytest.raises(InvalidRequestError):
            reads(body)


def test_whole_response_is_as_published(strictly):
    response = strictly(Response, whole("gpt-x", RICH, SPENT))
    kinds = [item.type for item in response.output]
    assert kinds == ["reasoning", "message", "function_call", "function_call"]
    assert response.output_text == "Hello, you two."
    assert response.status == "completed"
    assert response.usage.input_tokens == 3 + 5 + 7
    assert response.usage.total_tokens == 15 + 9


def test_events_are_as_published(strictly, sse):
    events = sse(stream("gpt-x", RICH, SPENT, None, True))
    for number, (name, data) in enumerate(events):
        event = strictly(ResponseStreamEvent, data)
        assert (event.type, event.sequence_number) == (name, number)
    names = [name for name, _ in events]
    assert names[:3] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
    ]
    assert names[-2:] == ["response.output_item.done", "response.completed"]
    assert names.count("response.output_item.done") == 4


def test_number_of_deltas(sse):
    said = Answer(text="one two three four")
    events = sse(stream("m", said, SPENT, 2, True))
    assert [name for name, _ in events].count("response.output_text.delta") == 2


@pytest.mark.parametrize(("number", "kind"), [(0, "error"), (4, "response.failed")])
def test_error_event(strictly, sse, number, kind):
    ((name, data),) = sse((error_event("rate_limit_error", "Slow down", number, "m"),))
    event = strictly(ResponseStreamEvent, data)
    assert (name, event.type, event.sequence_number) == (kind, kind, number)
    assert (event if number == 0 else event.response.error).code == "rate_limit_exceeded"


async def test_sdk_gets_a_response(gpt, fake):
    response = await gpt.responses.create(model="gpt-x", input="Hi you")
    assert response.output_text == "Hello from the fake provider. You said: Hi you"
    assert fake.requests[0].usage.output == response.usage.output_tokens


async def test_sdk_gets_a_stream(gpt):
    async with gpt.responses.stream(model="gpt-x", input="Think hard, from cache") as events:
        response = await events.get_final_response()
    said = "Hello from the fake provider. You said: Think hard, from cache"
    assert response.output_text == said
    assert response.output[0].summary[0].text
    assert response.usage.output_tokens_details.reasoning_tokens > 0
    assert response.usage.input_tokens_details.cached_tokens == 1024


@pytest.mark.parametrize("streamed", [False, True])
async def test_sdk_uses_tools_in_parallel_and_brings_the_results(gpt, streamed):
    items = [{"role": "user", "content": "Use the tools now"}]

    async def ask() -> Response:
        asked = {"model": "gpt-x", "input": items, "tools": [TOOL]}
        if not streamed:
            return await gpt.responses.create(**asked)
        async with gpt.responses.stream(**asked) as events:
            return await events.get_final_response()

    first = await ask()
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"at": "a at"}] * 2
    assert calls[0].call_id != calls[1].call_id
    items += [
        {"type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments}
        for c in calls
    ]
    items += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "42"} for call in calls
    ]
    last = await ask()
    assert last.output_text == "The tool answered: 42 42"


async def test_sdk_raises_its_own_errors(gpt):
    with pytest.raises(openai.RateLimitError):
        await gpt.responses.create(model="fake-status-429", input="hi")


async def test_sdk_sees_an_error_inside_a_stream(gpt, fake):
    fake.play(Script(error="overloaded_error", error_after=4))
    events = await gpt.responses.create(model="m", input="hi", stream=True)
    seen = [event async for event in events]
    assert len(seen) == 5
    assert seen[-1].type == "response.failed"
    assert seen[-1].response.error.code == "server_error"
