"""Facts of Chat Completions, from streams and from bodies, OpenAI's and compatible servers'."""

from collections.abc import Callable

import msgspec
import pytest

from aibridged.wire.chat_completions.reader import ChatCompletionsReader, read_body
from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall


def call(call_id: str, name: str, arguments: str, *, complete: bool = True) -> ToolCall:
    return ToolCall(call_id, None, name, arguments, server_side=False, complete=complete)


EXPECTED = {
    "chat_text": ResponseFacts(
        response_id="chatcmpl-1",
        model="gpt-4o-2024-08-06",
        usage=TokenUsage(
            input=86,
            output=300,
            cache_read=1920,
            extra={
                "prompt_audio": 6,
                "completion_reasoning": 64,
                "completion_audio": 5,
                "completion_accepted_prediction": 10,
                "completion_rejected_prediction": 3,
            },
            service_tier="default",
        ),
        complete=True,
    ),
    "chat_parallel_tools": ResponseFacts(
        response_id="chatcmpl-2",
        model="gpt-4.1",
        tool_calls=(
            call("call_a", "get_weather", '{"city":"Zürich"}'),
            call("call_b", "get_time", '{"zone":1}'),
            call("call_c", "patch", "*** Begin Patch"),
        ),
        complete=True,
    ),
    "chat_compatible_server": ResponseFacts(
        response_id="gen-3",
        model="deepseek-r1",
        usage=TokenUsage(input=9, output=8),
        tool_calls=(call("", "lookup", '{"q": 1}'),),
        thoughts=(Thought("Let me think.", "reasoning", complete=True),),
        complete=True,
    ),
    "chat_copilot": ResponseFacts(
        response_id="chatcmpl-4",
        model="claude-sonnet-4.5",
        usage=TokenUsage(input=100, output=30, cache_read=900),
        tool_calls=(call("toolu_1", "read_file", '{"path":"a"}'),),
        thoughts=(Thought("Look first.", "reasoning", complete=True),),
        complete=True,
    ),
    "chat_error_first": ResponseFacts(
        error=ProviderError("tokens", "rate_limit_exceeded", "Rate limit reached for gpt-4o."),
    ),
}


def read(*events: object, complete: bool = True) -> ResponseFacts:
    reader = ChatCompletionsReader()
    for event in events:
        reader.feed(b"data: " + msgspec.json.encode(event) + b"\n\n")
    return reader.finish(complete)


def chunk(delta: object, **choice: object) -> dict[str, object]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, **choice}]}


@pytest.mark.parametrize("name", EXPECTED)
def test_streams(name: str, check_replays: Callable[..., None]) -> None:
    check_replays(ChatCompletionsReader, name, EXPECTED[name])


def test_calls_and_thoughts_of_several_choices() -> None:
    one = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}
    two = {"index": 0, "id": "b", "function": {"name": "f", "arguments": "[]"}}
    facts = read(
        {"choices": [{"index": 0, "delta": {"tool_calls": [one], "reasoning": "x"}}]},
        {"choices": [{"index": 1, "delta": {"tool_calls": [two], "reasoning": "y"}}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "tool_calls"}]},
        complete=False,
    )
    assert facts.tool_calls == (call("a", "f", "{", complete=False), call("b", "f", "[]"))
    assert facts.thoughts == (
        Thought("x", "reasoning", complete=False),
        Thought("y", "reasoning", complete=True),
    )


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("chat_text", "ok"),
        ("chat_compatible_server", "ok"),
        ("chat_error_first", "rate_limit_error"),
    ],
)
def test_the_verdict_comes_with_the_first_data(
    name: str, verdict: str, transcript: Callable[[str], bytes]
) -> None:
    stream = transcript(name)
    end = stream.index(b"\n\n", stream.index(b"data:"))
    reader = ChatCompletionsReader()
    reader.feed(stream[: end + 1])
    assert reader.verdict is None
    reader.feed(stream[end + 1 : end + 2])
    assert reader.verdict == verdict


def test_the_usage_chunk_may_be_missing_when_the_client_leaves_before_it() -> None:
    events = (chunk({"content": "Hi"}), chunk({}, finish_reason="stop"))
    assert not read(*events, complete=False).complete
    assert read(*events, complete=True).complete


def test_usage_told_with_every_chunk_is_partial_until_the_model_stops() -> None:
    first = {**chunk({"content": "a"}), "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    assert read(first, complete=False).usage == TokenUsage(input=5, output=1, partial=True)
    last = {
        **chunk({}, finish_reason="stop"),
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }
    assert read(first, last).usage == TokenUsage(input=5, output=2)


TOLD = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, "cached_tokens": 900}
CACHED = TokenUsage(input=100, output=50, cache_read=900)
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cached_tokens": 0}
STOP = chunk({}, finish_reason="stop")


@pytest.mark.parametrize(
    "events",
    [
        # github.com/northes/go-moonshot/issues/17: as the pages of Moonshot's API show it.
        [chunk({}, finish_reason="stop", usage=TOLD)],
        # console.groq.com/docs/api-reference: Groq's chunks, unless more is asked for.
        [{**chunk({"content": "a"}), "x_groq": {"id": "r"}}, {**STOP, "x_groq": {"usage": TOLD}}],
        [{**STOP, "x_groq": {"usage": TOLD}}, {"id": "c", "choices": [], "usage": TOLD}],
        [{**STOP, "usage": TOLD}, {"id": "c", "choices": [], "usage": ZEROS}],
        [{**STOP, "usage": TOLD}, {"id": "c", "choices": [], "usage": None}],
        [{**chunk({}), "usage": ZEROS}, {**STOP, "usage": TOLD}],
        [{**STOP, "x_groq": "r", "usage": TOLD}],
    ],
    ids=["moonshot", "x_groq", "twice", "zeros last", "null last", "zeros first", "odd x_groq"],
)
def test_usage_wherever_a_stream_tells_it(events: list[object]) -> None:
    facts = read(*events)
    assert facts.usage == CACHED
    assert not facts.anomalies


def test_usage_wherever_a_body_tells_it() -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    for body in (
        {"choices": [choice], "x_groq": {"id": "r", "usage": TOLD}},
        {"choices": [{**choice, "usage": TOLD}], "usage": None},
        {"choices": [{**choice, "usage": ZEROS}], "usage": TOLD},
        {"choices": [{**choice, "usage": TOLD}], "usage": ZEROS},
        {"choices": [choice], "x_groq": 7, "usage": TOLD},
        {"choices": [choice], "x_groq": {"usage": []}, "usage": TOLD},
    ):
        assert read_body(msgspec.json.encode(body)).usage == CACHED
    assert read_body(msgspec.json.encode({"choices": [choice]})).usage is None


def test_usage_that_a_stream_tells_over_and_over_takes_no_room() -> None:
    reader = ChatCompletionsReader()
    for number in range(100):
        usage = {**TOLD, f"x{number}": number, "cache_creation": {f"y{number}": 1}}
        reader.feed(b"data: " + msgspec.json.encode({"choices": [], "usage": usage}) + b"\n\n")
    assert len(reader._counts) == len(TOLD) + 1
    assert reader._counts["cache_creation"] == {}


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    calls = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "function": {"name": "g", "arguments": "[1"}},
        {"id": "b", "function": {"arguments": "]"}},
    ]
    facts = read(
        *[chunk({"tool_calls": [one]}) for one in calls], chunk({}, finish_reason="tool_calls")
    )
    assert facts.tool_calls == (call("a", "f", "{}"), call("b", "g", "[1]"))


def test_arguments_of_a_stream_that_broke_are_kept_and_marked() -> None:
    one = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    facts = read(chunk({"tool_calls": [one]}), complete=False)
    assert facts.tool_calls == (call("a", "f", "{}", complete=False),)


def test_an_error_in_the_middle_does_not_change_the_verdict() -> None:
    reader = ChatCompletionsReader()
    reader.feed(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
    reader.feed(b'event: error\ndata: {"error":{"message":"no","code":"slow_down"}}\n\n')
    assert reader.verdict == "ok"
    facts = reader.finish(complete=True)
    assert facts.error == ProviderError(None, "slow_down", "no")
    assert not facts.complete


def test_what_can_not_be_read_is_counted_and_the_rest_is_read() -> None:
    reader = ChatCompletionsReader()
    reader.feed(b'data: {"choices":7}\n\ndata: nonsense\n\ndata: {"id":"c","choices":null}\n\n')
    reader.feed(b'data: {"usage":{"prompt_tokens":"many","completion_tokens":-4}}\n\n')
    facts = reader.finish(complete=True)
    assert facts == ResponseFacts(
        response_id="c",
        usage=TokenUsage(partial=True),
        anomalies={"unreadable_field": 1, "unreadable_event": 1},
    )


def test_blocking_body() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "reasoning": "Hm.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "free"}},
        ],
        "function_call": {"name": "h", "arguments": "{broken"},
    }
    body = {
        "id": "chatcmpl-9",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        },
    }
    assert read_body(msgspec.json.encode(body)) == ResponseFacts(
        response_id="chatcmpl-9",
        model="gpt-4o",
        usage=TokenUsage(input=10, output=7, cache_read=60, cache_write=30),
        tool_calls=(
            call("a", "f", "{}"),
            call("b", "g", "free"),
            call("", "h", "{broken", complete=False),
        ),
        thoughts=(Thought("Hm.", "reasoning", complete=True),),
        complete=True,
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}',
            ProviderError("t", "c", "m"),
        ),
        (b'{"error":{"message":"m","code":429}}', ProviderError(None, "429", "m")),
        (b'{"error":"model not found"}', ProviderError(None, None, "model not found")),
    ],
)
def test_blocking_errors(body: bytes, error: ProviderError) -> None:
    assert read_body(body) == ResponseFacts(error=error)


def test_an_unreadable_body_is_counted() -> None:
    assert read_body(b"<html>") == ResponseFacts(anomalies={"unreadable_body": 1})
