"""OpenAI's Chat Completions: read, rendered, and accepted by the official SDK."""

import json

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from aibridged.fake_provider import Answer, Script, ToolCall, Usage
from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.chat_completions import error_event, read, stream, whole

SPENT = Usage(input=3, output=9, cache_read=5, cache_write=7, reasoning=2)
RICH = Answer(
    text="Hello, you two.",
    calls=(ToolCall("look", '{"at": "it"}'), ToolCall("look", "{}")),
)
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"at": {"type": "string"}},
            "required": ["at"],
        },
    },
}


def request(*messages: object, **fields: object) -> bytes:
    return json.dumps({"model": "gpt-x", "messages": messages, **fields}).encode()


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("messages", "text", "from_tool"),
    [
        ([user("hi")], "hi", False),
        ([user("no"), user([{"type": "text", "text": "hi"}])], "hi", False),
        ([user("no"), {"role": "assistant", "content": None}], "", False),
        (
            [
                user("no"),
                {"role": "assistant", "content": None, "tool_calls": []},
                {"role": "tool", "tool_call_id": "a", "content": "4"},
                {"role": "tool", "tool_call_id": "b", "content": "2"},
            ],
            "4 2",
            True,
        ),
    ],
)
def test_reads_the_last_words(messages, text, from_tool):
    prompt = read(request(*messages))
    assert (prompt.model, prompt.text, prompt.from_tool) == ("gpt-x", text, from_tool)


def test_reads_the_options():
    tools = [{"type": "custom", "custom": {"name": "c"}}, TOOL]
    prompt = read(request(user("a"), tools=tools, stream=True, parallel_tool_calls=False))
    assert [tool.name for tool in prompt.tools] == ["look"]
    assert prompt.stream
    assert not prompt.parallel
    assert not prompt.include_usage
    assert read(request(user("a"), stream_options={"include_usage": True})).include_usage


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", request(), request(user(7))])
def test_refuses_what_the_real_api_would(body):
    with pytest.raises(InvalidRequestError):
        read(body)


def test_whole_completion_is_as_published(strictly):
    completion = strictly(ChatCompletion, whole("gpt-x", RICH, SPENT))
    message = completion.choices[0].message
    assert message.content == "Hello, you two."
    assert [call.function.arguments for call in message.tool_calls] == ['{"at": "it"}', "{}"]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage.prompt_tokens == 3 + 5 + 7
    assert completion.usage.total_tokens == 15 + 9
    assert completion.usage.prompt_tokens_details.cached_tokens == 5


@pytest.mark.parametrize("include_usage", [False, True])
def test_chunks_are_as_published(strictly, sse, include_usage):
    *chunks, done = sse(stream("gpt-x", RICH, SPENT, None, include_usage))
    assert done == ("", b"[DONE]")
    read_chunks = [strictly(ChatCompletionChunk, data) for _, data in chunks]
    assert read_chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in read_chunks}) == 1
    told = [chunk.usage for chunk in read_chunks if chunk.usage]
    assert [usage.completion_tokens for usage in told] == ([9] if include_usage else [])
    assert [not chunk.choices for chunk in read_chunks].count(True) == len(told)
    assert all(("usage" in json.loads(data)) == include_usage for _, data in chunks)


def test_number_of_deltas(sse):
    said = Answer(text="one two three four")
    events = sse(stream("m", said, SPENT, 2, False))
    assert len(events) == 1 + 2 + 1 + 1


def test_error_chunk(sse):
    ((_, data),) = sse((error_event("rate_limit_error", "Slow down", 3, "m"),))
    assert json.loads(data)["error"]["code"] == "rate_limit_exceeded"


async def test_sdk_gets_a_completion(gpt, fake):
    completion = await gpt.chat.completions.create(model="gpt-x", messages=[user("Hi you")])
    said = completion.choices[0].message.content
    assert said == "Hello from the fake provider. You said: Hi you"
    assert completion._request_id.startswith("req_")
    assert fake.requests[0].usage.output == completion.usage.completion_tokens


async def test_sdk_gets_a_stream_with_usage(gpt):
    async with gpt.chat.completions.stream(
        model="gpt-x",
        messages=[user("Think hard, from cache")],
        stream_options={"include_usage": True},
    ) as events:
        completion = await events.get_final_completion()
    said = completion.choices[0].message.content
    assert said == "Hello from the fake provider. You said: Think hard, from cache"
    assert completion.usage.completion_tokens_details.reasoning_tokens > 0
    assert completion.usage.prompt_tokens_details.cached_tokens == 1024


async def test_sdk_gets_a_stream_without_usage(gpt):
    chunks = await gpt.chat.completions.create(model="gpt-x", messages=[user("hi")], stream=True)
    assert {chunk.usage async for chunk in chunks} == {None}


@pytest.mark.parametrize("streamed", [False, True])
async def test_sdk_uses_tools_in_parallel_and_brings_the_results(gpt, streamed):
    messages = [user("Use the tools now")]

    async def ask() -> ChatCompletion:
        asked = {"model": "gpt-x", "messages": messages, "tools": [TOOL]}
        if not streamed:
            return await gpt.chat.completions.create(**asked)
        async with gpt.chat.completions.stream(**asked) as events:
            return await events.get_final_completion()

    first = await ask()
    assert first.choices[0].finish_reason == "tool_calls"
    calls = first.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"at": "a at"}] * 2
    assert calls[0].id != calls[1].id
    results = [{"role": "tool", "tool_call_id": call.id, "content": "42"} for call in calls]
    messages += [first.choices[0].message.to_dict(), *results]
    last = await ask()
    assert last.choices[0].message.content == "The tool answered: 42 42"
    assert last.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fake-status-400", openai.BadRequestError),
        ("fake-status-429", openai.RateLimitError),
        ("fake-status-500", openai.InternalServerError),
        ("fake-error-overloaded", openai.InternalServerError),
    ],
)
async def test_sdk_raises_its_own_errors(gpt, model, error):
    with pytest.raises(error) as raised:
        await gpt.chat.completions.create(model=model, messages=[user("hi")])
    assert raised.value.request_id.startswith("req_")
    assert raised.value.type


async def test_sdk_raises_on_an_error_inside_a_stream(gpt, fake):
    fake.play(Script(error="overloaded_error", error_after=3))
    chunks = await gpt.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    seen = [await anext(chunks) for _ in range(3)]
    assert seen[0].choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIError) as raised:
        await anext(chunks)
    assert raised.value.code == "server_overloaded"


async def test_sdk_without_a_key_is_refused(gpt):
    with pytest.raises(openai.AuthenticationError) as raised:
        await gpt.chat.completions.create(
            model="m", messages=[user("hi")], extra_headers={"Authorization": openai.Omit()}
        )
    assert raised.value.code == "invalid_api_key"
