"""Facts of Responses, from streams and from bodies."""

from collections.abc import Callable

import msgspec
import pytest

from aibridged.wire import collector as collector
from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.responses.reader import (
    ResponsesReader,
    StoredResponseReader,
    read_body,
    read_stored,
)


def call(
    call_id: str, item_id: str, name: str, arguments: str, *, server: bool = False
) -> ToolCall:
    return ToolCall(call_id, item_id, name, arguments, server_side=server, complete=True)


EXPECTED = {
    "responses_reasoning_and_tools": ResponseFacts(
        response_id="resp_01",
        model="gpt-5-codex-2025",
        usage=TokenUsage(input=472, output=250, cache_read=6528, extra={"output_reasoning": 128}),
        tool_calls=(
            call("call_01", "fc_01", "shell", '{"command":["ls"]}'),
            call("call_02", "ctc_01", "apply_patch", "*** Begin Patch\n"),
        ),
        thoughts=(
            Thought("**Looking around**", "reasoning_summary", complete=True),
            Thought("Then list.", "reasoning_summary", complete=True),
            Thought("Checking the tree.", "commentary", complete=True),
        ),
        complete=True,
    ),
    "responses_server_tools": ResponseFacts(
        response_id="resp_02",
        model="gpt-5",
        usage=TokenUsage(input=50, output=20, extra={"web_search_requests": 1}),
        tool_calls=(
            call(
                "ws_01", "ws_01", "web_search", '{"type":"search","query":"aibridged"}', server=True
            ),
            call("fs_01", "fs_01", "file_search", '["a","b"]', server=True),
            call("ci_01", "ci_01", "code_interpreter", "1+1", server=True),
            call("mcp_01", "mcp_01", "roll", '{"dice":"2d6"}', server=True),
            call("call_9", "lsh_01", "local_shell", '{"type":"exec","command":["ls"],"env":{}}'),
        ),
        complete=True,
    ),
    "responses_failed_first": ResponseFacts(
        response_id="resp_03",
        model="gpt-5",
        error=ProviderError(
            "service_unavailable_error",
            "server_is_overloaded",
            "Our servers are currently overloaded.",
        ),
    ),
    "responses_incomplete": ResponseFacts(
        response_id="resp_04",
        model="gpt-oss-120b",
        usage=TokenUsage(input=5, output=16),
        tool_calls=(
            ToolCall("call_04", "fc_04", "read", '{"path":"/a', server_side=False, complete=False),
        ),
        thoughts=(Thought("Hm", "reasoning", complete=True),),
        complete=True,
        anomalies={"stray_delta": 1},
    ),
}


def feed(reader: ResponsesReader, *events: dict[str, object]) -> None:
    for event in events:
        name = str(event["type"]).encode()
        reader.feed(b"event: " + name + b"\ndata: " + msgspec.json.encode(event) + b"\n\n")


@pytest.mark.parametrize("name", EXPECTED)
def test_streams(name: str, check_replays: Callable[..., None]) -> None:
    check_replays(ResponsesReader, name, EXPECTED[name])


def test_items_whose_ids_change_on_the_way_are_told_apart_by_their_places(
    transcript: Callable[[str], bytes],
) -> None:
    """As they are at GitHub Copilot."""
    reader = ResponsesReader()
    reader.feed(transcript("responses_copilot"))
    assert reader.finish(True) == ResponseFacts(
        response_id="resp_05",
        model="gpt-5-codex",
        usage=TokenUsage(input=60, output=20, cache_read=40),
        tool_calls=(call("call_05", "fc_b3", "read_file", '{"path":"a"}'),),
        thoughts=(Thought("Look first.", "reasoning_summary", complete=True),),
        complete=True,
    )


def test_a_stream_broken_within_items_gives_what_came_of_them(
    transcript: Callable[[str], bytes],
) -> None:
    stream = transcript("responses_reasoning_and_tools")
    cuts = {
        b'"delta":" around**"}\n\n': [Thought("**Looking around**", "reasoning_summary", False)],
        b'"delta":"Checking"}\n\n': [Thought("Checking", "commentary", False)],
        b'"delta":"{\\"command\\":"}\n\n': [
            ToolCall("call_01", "fc_01", "shell", '{"command":', False, complete=False)
        ],
    }
    for mark, last in cuts.items():
        reader = ResponsesReader()
        reader.feed(stream[: stream.index(mark) + len(mark)])
        facts = reader.finish(complete=False)
        assert [*facts.thoughts, *facts.tool_calls][-1:] == last
        assert facts.usage is None
        assert not facts.complete
        assert facts.anomalies == {}


@pytest.mark.parametrize(
    ("name", "first", "verdict"),
    [
        ("responses_server_tools", b"event: response.output_item.added", "ok"),
        ("responses_failed_first", b"event: error", "overloaded_error"),
        ("responses_incomplete", b'data: {"type":"response.reasoning_text.delta', "ok"),
    ],
)
def test_the_verdict_waits_for_more_than_the_creation(
    name: str, first: bytes, verdict: str, transcript: Callable[[str], bytes]
) -> None:
    stream = transcript(name)
    end = stream.index(b"\n\n", stream.index(first)) + 2
    reader = ResponsesReader()
    reader.feed(stream[: end - 1])
    assert reader.verdict is None
    reader.feed(stream[end - 1 :])
    assert reader.verdict == verdict


@pytest.mark.parametrize(
    ("event", "error", "verdict"),
    [
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None},
            ProviderError(None, "rate_limit_exceeded", "m"),
            "rate_limit_error",
        ),
        (
            {"type": "response.failed", "response": {"error": {"code": "slow_down"}}},
            ProviderError(None, "slow_down", None),
            "overloaded_error",
        ),
        (
            {"type": "response.failed", "response": {"error": {"code": "server_error"}}},
            ProviderError(None, "server_error", None),
            "server_error",
        ),
        ({"type": "response.failed"}, ProviderError(None, None, None), "error"),
    ],
)
def test_errors_at_once(event: dict[str, object], error: ProviderError, verdict: str) -> None:
    reader = ResponsesReader()
    feed(reader, event)
    assert reader.verdict == verdict
    facts = reader.finish(complete=True)
    assert facts.error == error
    assert not facts.complete


def test_an_item_that_was_never_told_whole_is_taken_from_the_end() -> None:
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
    reader = ResponsesReader()
    feed(
        reader,
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message"}},
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        {"type": "response.completed", "response": {"output": [{"type": "message"}, item]}},
    )
    assert reader.finish(complete=True).tool_calls == (call("c", "fc", "f", "{}"),)


def test_streamed_thoughts_count_where_the_item_does_not_restate_them() -> None:
    reader = ResponsesReader()
    feed(
        reader,
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "Hm"},
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning"}},
    )
    assert reader.finish(complete=True).thoughts == (Thought("Hm", "reasoning", complete=True),)


def test_a_thought_told_twice_takes_its_room_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MAX_KEPT", 1500)
    whole = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x" * 700}]}
    reader = ResponsesReader()
    feed(
        reader,
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "x" * 700},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
    )
    facts = reader.finish(complete=True)
    assert facts.thoughts == (Thought("x" * 700, "reasoning_summary", complete=True),)
    assert facts.anomalies == {}


def test_text_of_the_answer_is_not_looked_into() -> None:
    comment = {"type": "message", "phase": "commentary"}
    delta = b"event: response.output_text.delta\ndata: not even JSON\n\n"
    reader = ResponsesReader()
    reader.feed(delta)
    feed(reader, {"type": "response.output_item.added", "output_index": 0, "item": comment})
    feed(reader, {"type": "response.output_item.done", "output_index": 0, "item": comment})
    reader.feed(delta)
    assert reader.finish(complete=True).anomalies == {}


def test_what_can_not_be_read_is_counted_and_the_rest_is_read(
    transcript: Callable[[str], bytes],
) -> None:
    reader = ResponsesReader()
    feed(
        reader,
        {"type": "response.brand_new", "delta": {"x": 1}},
        {"type": "response.function_call_arguments.delta", "output_index": 7, "delta": "x"},
    )
    reader.feed(b'event: response.output_item.done\ndata: {"item":7}\n\n')
    reader.feed(transcript("responses_reasoning_and_tools"))
    facts = reader.finish(complete=True)
    assert facts.tool_calls == EXPECTED["responses_reasoning_and_tools"].tool_calls
    assert facts.anomalies == {
        "unreadable_field": 1,
        "unknown_event": 1,
        "stray_delta": 1,
        "unreadable_item": 1,
    }


def test_blocking_body() -> None:
    body = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5",
        "error": None,
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "S"}]},
            {
                "type": "message",
                "id": "m",
                "role": "assistant",
                "phase": "final_answer",
                "content": [{"type": "output_text", "text": "Hi"}],
            },
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"},
        ],
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": 3,
        },
    }
    assert read_body(msgspec.json.encode(body)) == ResponseFacts(
        response_id="resp_1",
        model="gpt-5",
        usage=TokenUsage(input=5, output=3, cache_read=4, cache_write=1),
        tool_calls=(call("c", "fc", "f", "{}"),),
        thoughts=(Thought("S", "reasoning_summary", complete=True),),
        complete=True,
    )


def test_blocking_errors() -> None:
    refused = read_body(b'{"error":{"message":"m","type":"invalid_request_error","code":null}}')
    assert refused.error == ProviderError("invalid_request_error", None, "m")
    failed = read_body(b'{"id":"r","status":"failed","error":{"code":"server_error"}}')
    assert failed.error == ProviderError(None, "server_error", None)
    assert not failed.complete
    assert not read_body(b'{"id":"r","status":"queued"}').complete
    assert read_body(b"<html>") == ResponseFacts(anomalies={"unreadable_body": 1})


def test_a_stored_response_is_the_same_from_wherever_it_is_read(
    transcript: Callable[[str], bytes],
) -> None:
    """A client enters its stream behind any event; what it comes to stands in the last one."""
    whole = transcript("responses_reasoning_and_tools")
    events = [event + b"\n\n" for event in whole.split(b"\n\n") if event.strip()]
    last = msgspec.json.decode(events[-1].partition(b"data: ")[2])["response"]
    expected = read_stored(msgspec.json.encode(last))
    assert len(expected.tool_calls) >= 2
    assert expected.status == "completed"
    for start in range(len(events)):
        reader = StoredResponseReader()
        for event in events[start:]:
            reader.feed(event)
        assert reader.finish(complete=True) == expected
        assert reader.verdict == "ok"


def test_a_stored_response_that_was_left_tells_its_status() -> None:
    reader = StoredResponseReader()
    reader.feed(
        b'event: response.created\ndata: {"type":"response.created",'
        b'"response":{"id":"resp_1","status":"queued"}}\n\n'
    )
    assert reader.response_id == "resp_1"
    reader.feed(b'event: response.output_item.done\ndata: {"item":{"type":"function_call"}}\n\n')
    got = reader.finish(complete=False)
    assert (got.status, got.tool_calls, got.complete) == ("queued", (), False)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "completed"}, None),
        ({"status": "completed", "background": False}, None),
        ({"status": "completed", "background": True}, "completed"),
        ({"status": "queued"}, "queued"),
        ({"status": "x" * 100, "background": True}, "x" * 32),
        ({"background": True}, None),
    ],
)
def test_the_status_of_what_runs_in_the_background(fields: dict[str, object], status: str) -> None:
    body = msgspec.json.encode({"id": "r", **fields})
    assert read_body(body).status == status
    assert read_stored(body).status == (str(fields["status"])[:32] if "status" in fields else None)
