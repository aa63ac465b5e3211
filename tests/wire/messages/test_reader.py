"""Facts of Anthropic's Messages, from streams and from bodies."""

from collections.abc import Callable

import msgspec
import pytest

from aibridged.wire import collector as collector
from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.messages.reader import MessagesReader, read_body


def call(call_id: str, name: str, arguments: str, *, server: bool = False) -> ToolCall:
    return ToolCall(call_id, None, name, arguments, server_side=server, complete=True)


EXPECTED = {
    "messages_text_corrected_usage": ResponseFacts(
        response_id="msg_01Text",
        model="claude-sonnet-4-5-20250929",
        usage=TokenUsage(
            input=30,
            output=15,
            cache_read=4000,
            cache_write=1200,
            extra={"cache_ephemeral_5m_input": 1000, "cache_ephemeral_1h_input": 200},
            service_tier="standard",
        ),
        complete=True,
    ),
    "messages_thinking_and_parallel_tools": ResponseFacts(
        response_id="msg_01Think",
        model="claude-opus-4-1",
        usage=TokenUsage(input=472, output=89, extra={"output_thinking": 40}),
        tool_calls=(
            call("toolu_01A", "Bash", '{"command": "ls -la"}'),
            call("toolu_01B", "ListTodos", "{}"),
        ),
        thoughts=(
            Thought("They want the files,\nso I'll list them. ✓", "thinking", complete=True),
            Thought("", "redacted_thinking", complete=True),
        ),
        complete=True,
    ),
    "messages_server_tools": ResponseFacts(
        response_id="msg_01Search",
        model="claude-sonnet-4-5",
        usage=TokenUsage(input=10682, output=510, extra={"web_search_requests": 1}),
        tool_calls=(
            call("srvtoolu_01S", "web_search", '{"query": "weather Zürich"}', server=True),
            call("mcptoolu_01M", "echo", '{"text":"hi"}', server=True),
        ),
        complete=True,
    ),
    "messages_error_in_the_middle": ResponseFacts(
        response_id="msg_01Broken",
        model="claude-haiku-4-5",
        usage=TokenUsage(input=12, output=1, cache_read=7, partial=True),
        tool_calls=(
            ToolCall(
                "toolu_01C",
                None,
                "Write",
                '{"path": "/tmp/x", "cont',
                server_side=False,
                complete=False,
            ),
        ),
        error=ProviderError("overloaded_error", None, "Overloaded"),
        anomalies={"unknown_event": 1},
    ),
    "messages_error_first": ResponseFacts(
        error=ProviderError(
            "rate_limit_error",
            None,
            "Number of concurrent connections has exceeded your rate limit.",
        ),
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_streams(name: str, check_replays: Callable[..., None]) -> None:
    check_replays(MessagesReader, name, EXPECTED[name])


@pytest.mark.parametrize(
    ("name", "first_bytes", "verdict"),
    [
        ("messages_text_corrected_usage", b"event: message_start", "ok"),
        ("messages_error_in_the_middle", b"event: message_start", "ok"),
        ("messages_error_first", b"event: error", "rate_limit_error"),
    ],
)
def test_the_verdict_comes_with_the_first_event_that_is_no_ping(
    name: str, first_bytes: bytes, verdict: str, transcript: Callable[[str], bytes]
) -> None:
    stream = transcript(name)
    end = stream.index(b"\n\n", stream.index(first_bytes)) + 2
    reader = MessagesReader()
    reader.feed(stream[: end - 1])
    assert reader.verdict is None
    reader.feed(stream[end - 1 : end])
    assert reader.verdict == verdict
    reader.feed(stream[end:])
    assert reader.verdict == verdict


def test_a_delta_is_a_verdict_too() -> None:
    reader = MessagesReader()
    reader.feed(b'data: {"type":"content_block_delta","delta":{"type":"text_delta"}}\n\n')
    assert reader.verdict == "ok"


def test_a_stream_without_message_stop_is_whole_if_it_ended_in_order(
    transcript: Callable[[str], bytes],
) -> None:
    stream, _, _ = transcript("messages_text_corrected_usage").partition(b"event: message_stop")
    for complete in (True, False):
        reader = MessagesReader()
        reader.feed(stream)
        assert reader.finish(complete).complete is complete


def test_arguments_are_not_complete_if_the_token_limit_cut_them() -> None:
    reader = MessagesReader()
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use"}},
        {"type": "content_block_delta", "index": 0, "delta": {"partial_json": '{"a": [1,'}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
        {"type": "message_stop"},
    ):
        reader.feed(b"data: " + msgspec.json.encode(event) + b"\n\n")
    facts = reader.finish(complete=True)
    assert facts.complete
    assert facts.tool_calls == (
        ToolCall("", None, "", '{"a": [1,', server_side=False, complete=False),
    )


def test_what_can_not_be_read_is_counted_and_the_rest_is_read(
    transcript: Callable[[str], bytes],
) -> None:
    stream = transcript("messages_server_tools")
    garbage = (
        b'data: {"type":\n\n'
        b'data: {"type":"message_delta","usage":7}\n\n'
        b'data: {"type":"content_block_delta","index":0,"delta":{"thinking":"\xff"}}\n\n'
        b"data: " + b"[" * 100_000 + b"\n\n"
        b'data: {"type":"content_block_delta","index":77,"delta":{"partial_json":"x"}}\n\n'
        b'data: {"type":"brand_new"}\n\n'
    )
    reader = MessagesReader()
    reader.feed(garbage + stream)
    facts = reader.finish(complete=True)
    assert facts.anomalies == {
        "unreadable_event": 2,
        "unreadable_usage": 1,
        "stray_delta": 2,
        "unknown_event": 1,
    }
    assert facts.tool_calls == EXPECTED["messages_server_tools"].tool_calls
    assert facts.usage == EXPECTED["messages_server_tools"].usage


def usage_of(*usages: object) -> TokenUsage | None:
    """What a stream comes to whose first event tells the first, and `message_delta`s the others."""
    first, *others = usages
    message = {"id": "msg_1", "model": "claude-x", "usage": first}
    reader = MessagesReader()
    for event in (
        {"type": "message_start", "message": message},
        *({"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": u} for u in others),
        {"type": "message_stop"},
    ):
        reader.feed(b"data: " + msgspec.json.encode(event) + b"\n\n")
    return reader.finish(complete=True).usage


def test_a_zero_at_the_end_takes_nothing_back() -> None:
    """github.com/envoyproxy/ai-gateway/pull/1631: of some servers the last event's input is 0."""
    created = {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0}
    first = {"input_tokens": 1000, "output_tokens": 1, "cache_creation": created}
    last = {"input_tokens": 0, "output_tokens": 50, "cache_creation": None, "iterations": []}
    assert usage_of(first, last) == TokenUsage(
        input=1000, output=50, cache_write=5, extra={"cache_ephemeral_5m_input": 5}
    )
    assert usage_of(first, {"input_tokens": 900, "output_tokens": 50}).input == 900


def test_the_iterations_of_a_stream_are_those_that_it_told_last() -> None:
    compaction = {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500}
    advice = {"type": "advisor_message", "model": "claude-big", "input_tokens": 8}
    first = {"input_tokens": 1000, "output_tokens": 1, "iterations": [compaction]}
    own = {**advice, "model": "claude-x"}
    last = {"output_tokens": 50, "iterations": [compaction, advice, own]}
    assert usage_of(first, last) == TokenUsage(
        input=1000,
        output=50,
        additional=(
            TokenUsage(input=180_000, output=3500, iteration="compaction"),
            TokenUsage(input=8, model="claude-big", iteration="advisor_message"),
            TokenUsage(input=8, iteration="advisor_message"),
        ),
    )


def test_kept_text_is_bounded_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MAX_KEPT", 1000)
    reader = MessagesReader()
    for event in (
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        *[{"type": "content_block_delta", "index": 0, "delta": {"thinking": "x" * 90}}] * 10,
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use"}},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": "{}"}},
    ):
        reader.feed(b"data: " + msgspec.json.encode(event) + b"\n\n")
    facts = reader.finish(complete=True)
    assert facts.thoughts == (Thought("x" * 800, "thinking", complete=False),)
    assert facts.tool_calls == ()
    assert facts.anomalies == {"text_cut": 1, "item_dropped": 1, "stray_delta": 1}


def test_a_tool_with_the_name_of_a_delta_is_a_call() -> None:
    reader = MessagesReader()
    block = {"type": "tool_use", "id": "t", "name": "text_delta", "input": {}}
    for kind, event in {
        "message_start": {"message": {"id": "m"}},
        "content_block_start": {"index": 0, "content_block": block},
        "content_block_stop": {"index": 0},
    }.items():
        data = msgspec.json.encode({"type": kind, **event})
        reader.feed(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")
    assert reader.finish(complete=True).tool_calls == (call("t", "text_delta", "{}"),)


def test_a_thought_and_arguments_that_are_just_the_word_are_on_record() -> None:
    def event(kind: str, index: int, **fields: object) -> bytes:
        data = msgspec.json.encode({"type": f"content_block_{kind}", "index": index, **fields})
        return b"event: content_block_%b\ndata: %b\n\n" % (kind.encode(), data)

    arguments = {"type": "input_json_delta", "partial_json": ""}
    reader = MessagesReader()
    for chunk in (
        event("start", 0, content_block={"type": "thinking", "thinking": ""}),
        event("delta", 0, delta={"type": "thinking_delta", "thinking": "text_delta"}),
        event("stop", 0),
        event("start", 1, content_block={"type": "tool_use", "id": "t", "name": "x"}),
        event("delta", 1, delta={**arguments, "partial_json": '{"a":"'}),
        event("delta", 1, delta={**arguments, "partial_json": "text_delta"}),
        event("delta", 1, delta={**arguments, "partial_json": '"}'}),
        event("stop", 1),
    ):
        reader.feed(chunk)
    facts = reader.finish(complete=True)
    assert [thought.content for thought in facts.thoughts] == ["text_delta"]
    assert facts.tool_calls == (call("t", "x", '{"a":"text_delta"}'),)


BODY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "Eq=="},
        {"type": "text", "text": "I'll look."},
        {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a"}},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_fetch", "input": {"url": "b"}},
        {"type": "web_fetch_tool_result", "tool_use_id": "srv_1", "content": {"type": "x"}},
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": None,
        "output_tokens": 5,
        "server_tool_use": {"web_fetch_requests": 1, "web_search_requests": 0},
    },
}


def test_blocking_body() -> None:
    assert read_body(msgspec.json.encode(BODY)) == ResponseFacts(
        response_id="msg_1",
        model="claude-sonnet-4-5",
        usage=TokenUsage(input=10, output=5, cache_read=20, extra={"web_fetch_requests": 1}),
        tool_calls=(
            call("toolu_1", "Read", '{"path":"a"}'),
            call("srv_1", "web_fetch", '{"url":"b"}', server=True),
        ),
        thoughts=(Thought("Hm.", "thinking", complete=True),),
        complete=True,
    )


def test_iterations_of_a_blocking_body() -> None:
    advice = {"type": "advisor_message", "model": "claude-big", "input_tokens": 8}
    own = {**advice, "model": BODY["model"]}
    usage = {"input_tokens": 1, "iterations": [advice, own]}
    facts = read_body(msgspec.json.encode({**BODY, "usage": usage}))
    assert facts.usage.additional == (
        TokenUsage(input=8, model="claude-big", iteration="advisor_message"),
        TokenUsage(input=8, iteration="advisor_message"),
    )


def test_blocking_error() -> None:
    body = b'{"type":"error","error":{"type":"not_found_error","message":"model: x"}}'
    assert read_body(body) == ResponseFacts(
        error=ProviderError("not_found_error", None, "model: x")
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b'"x"', b'{"content":['])
def test_an_unreadable_body_is_counted(body: bytes) -> None:
    assert read_body(body) == ResponseFacts(anomalies={"unreadable_body": 1})
