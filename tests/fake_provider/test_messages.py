"""Anthropic's Messages: read, rendered, and accepted by the official SDK."""

import json

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent

from aibridged.fake_provider import Answer, Script, ToolCall, Usage
from aibridged.fake_provider.answer import InvalidRequestError
from aibridged.fake_provider.messages import count, error_event, read, stream, whole

SPENT = Usage(input=3, output=9, cache_read=5, cache_write=7, cache_write_1h=2, reasoning=2)
RICH = Answer(
    text="Hello, you two.",
    thinking="Who is there?",
    calls=(ToolCall("look", '{"at": "it"}'), ToolCall("look", "{}")),
    usage=SPENT,
)
TOOL = {
    "name": "look",
    "description": "Looks.",
    "input_schema": {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
    },
}


def request(*messages: object, **fields: object) -> bytes:
    return json.dumps(
        {"model": "claude-x", "max_tokens": 9, "messages": messages, **fields}
    ).encode()


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("content", "text", "from_tool"),
    [
        ("hi", "hi", False),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "b", False),
        ([{"type": "image", "source": {}}], "", False),
        ([{"type": "tool_result", "tool_use_id": "t", "content": "42"}], "42", True),
        ([{"type": "tool_result", "tool_use_id": "t"}], "", True),
        (
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "text", "text": "4"}],
                },
                {"type": "tool_result", "tool_use_id": "u", "content": "2"},
                {"type": "text", "text": "and now?"},
            ],
            "4 2",
            True,
        ),
    ],
)
def test_reads_the_last_words(content, text, from_tool):
    prompt = read(request(user("before"), user(content)))
    assert (prompt.model, prompt.text, prompt.from_tool) == ("claude-x", text, from_tool)


def test_an_assistant_at_the_end_leaves_nothing_to_answer():
    assert read(request(user("a"), {"role": "assistant", "content": "b"})).text == ""


def test_reads_tools_of_the_client_but_none_of_the_server():
    tools = [{"type": "web_search_20250305", "name": "web_search"}, TOOL]
    prompt = read(request(user("a"), tools=tools, tool_choice={"type": "auto"}, stream=True))
    assert [tool.name for tool in prompt.tools] == ["look"]
    assert prompt.stream
    assert prompt.parallel
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert not read(request(user("a"), tool_choice=choice)).parallel


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"{}", request(), request(user(7)), b'{"model": "m", "messages": []}'],
)
def test_refuses_what_the_real_api_would(body):
    with pytest.raises(InvalidRequestError):
        read(body)
    if body != request():
        with pytest.raises(InvalidRequestError):
            count(body)


def test_counts_words():
    assert count(b'{"model": "m", "messages": [{"role": "user", "content": "to be or"}]}') == 3


def test_whole_message_is_as_published(strictly):
    message = strictly(Message, whole("claude-x", RICH, SPENT))
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert message.content[2].input == {"at": "it"}
    assert message.stop_reason == "tool_use"
    assert message.usage.cache_creation_input_tokens == 9
    assert message.usage.cache_creation.ephemeral_5m_input_tokens == 7


def test_events_are_as_published(strictly, sse):
    events = sse(stream("claude-x", RICH, SPENT, None, True))
    for name, data in events:
        if name != "ping":
            assert strictly(RawMessageStreamEvent, data).type == name
    names = [name for name, _ in events]
    assert names[:4] == ["message_start", "content_block_start", "ping", "content_block_delta"]
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("content_block_stop") == 4


def test_number_of_deltas(sse):
    said = Answer(text="one two three four")
    events = sse(stream("m", said, SPENT, 2, True))
    assert [name for name, _ in events].count("content_block_delta") == 2


def test_error_event(strictly, sse):
    ((name, data),) = sse((error_event("overloaded_error", "Overloaded", 0, "m"),))
    assert name == "error"
    assert json.loads(data) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
    }


async def test_sdk_gets_a_message(claude, fake):
    message = await claude.messages.create(
        model="claude-x", max_tokens=9, messages=[user("Hi you")]
    )
    assert message.content[0].text == "Hello from the fake provider. You said: Hi you"
    assert message._request_id.startswith("req_")
    assert message.usage.input_tokens == 2
    assert fake.requests[0].usage.output == message.usage.output_tokens


async def test_sdk_gets_a_stream(claude):
    async with claude.messages.stream(
        model="claude-x", max_tokens=9, messages=[user("Think hard, from cache")]
    ) as events:
        text = "".join([part async for part in events.text_stream])
        message = await events.get_final_message()
    assert text == "Hello from the fake provider. You said: Think hard, from cache"
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature
    assert message.usage.cache_read_input_tokens == 1024
    assert message.usage.output_tokens > 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_sdk_uses_tools_in_parallel_and_brings_the_results(claude, streamed):
    messages = [user("Use the tools now")]

    async def ask() -> Message:
        asked = {"model": "claude-x", "max_tokens": 9, "messages": messages, "tools": [TOOL]}
        if not streamed:
            return await claude.messages.create(**asked)
        async with claude.messages.stream(**asked) as events:
            return await events.get_final_message()

    first = await ask()
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [("look", {"at": "a at"})] * 2
    assert calls[0].id != calls[1].id
    messages += [
        {"role": "assistant", "content": first.content},
        user([{"type": "tool_result", "tool_use_id": c.id, "content": "42"} for c in calls]),
    ]
    last = await ask()
    assert last.content[0].text == "The tool answered: 42 42"
    assert last.stop_reason == "end_turn"
    assert last.id != first.id


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fake-status-400", anthropic.BadRequestError),
        ("fake-status-429", anthropic.RateLimitError),
        ("fake-status-500", anthropic.InternalServerError),
        ("fake-status-529", anthropic.OverloadedError),
        ("fake-error-overloaded", anthropic.OverloadedError),
    ],
)
async def test_sdk_raises_its_own_errors(claude, model, error):
    with pytest.raises(error) as raised:
        await claude.messages.create(model=model, max_tokens=9, messages=[user("hi")])
    assert raised.value.request_id == raised.value.body["request_id"]


async def test_sdk_raises_on_an_error_inside_a_stream(claude, fake):
    fake.play(Script(error="overloaded_error", error_after=4))
    seen = []
    with pytest.raises(anthropic.APIStatusError) as raised:
        async with claude.messages.stream(
            model="claude-x", max_tokens=9, messages=[user("hi")]
        ) as events:
            seen.extend([event.type async for event in events])
    assert raised.value.type == "overloaded_error"
    assert raised.value.response.status_code == 200


async def test_sdk_without_a_key_is_refused(claude):
    with pytest.raises(anthropic.AuthenticationError):
        await claude.messages.create(
            model="m",
            max_tokens=9,
            messages=[user("hi")],
            extra_headers={"Authorization": anthropic.Omit()},
        )
