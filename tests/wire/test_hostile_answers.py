"""Answers that are made to cost: what reading them makes and keeps is bounded."""

import tracemalloc
from collections.abc import Callable, Iterator

import msgspec
import pytest

from aibridged.wire.collector import MAX_ITEMS, OMITTED
from aibridged.wire.facts import ResponseFacts, TokenUsage, WireApi
from aibridged.wire.response import open_reader

MIB = 1024 * 1024
SLICE = 8 * 1024

MESSAGES, CHAT, RESPONSES = WireApi.MESSAGES, WireApi.CHAT_COMPLETIONS, WireApi.RESPONSES
STREAM, BODY = "text/event-stream", "application/json"


def event(value: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)


def read(api: WireApi, media_type: str, pieces: Iterator[bytes]) -> ResponseFacts:
    reader = open_reader(api, media_type)
    for piece in pieces:
        for start in range(0, len(piece), SLICE):
            reader.feed(piece[start : start + SLICE])
    return reader.finish(complete=True)


def chat_calls(count: int, *, index: Callable[[int], int] = lambda number: number) -> Iterator:
    for number in range(count):
        function = {"name": "f", "arguments": "{}"}
        call = {"index": index(number), "id": f"call_{number}", "function": function}
        yield event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
        piece = {"index": index(number), "function": {"arguments": " "}}
        yield event({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})
    yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})


def messages_calls(count: int) -> Iterator[bytes]:
    for number in range(count):
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {}}
        yield event({"type": "content_block_start", "index": number, "content_block": block})
        yield event({"type": "content_block_stop", "index": number})
    yield event({"type": "message_stop"})


def responses_calls(count: int) -> Iterator[bytes]:
    for number in range(count):
        item = {"type": "function_call", "call_id": f"call_{number}", "name": "f"}
        at = {"output_index": number}
        yield event({"type": "response.output_item.added", "item": item, **at})
        done = {**item, "arguments": "{}"}
        yield event({"type": "response.output_item.done", "item": done, **at})
    yield event({"type": "response.completed", "response": {"id": "r"}})


@pytest.mark.parametrize(
    ("api", "stream"),
    [
        (CHAT, chat_calls(2000)),
        (CHAT, chat_calls(2000, index=lambda _: 0)),
        (MESSAGES, messages_calls(2000)),
        (RESPONSES, responses_calls(2000)),
    ],
)
def test_tool_calls_are_capped_and_the_others_counted(
    api: WireApi, stream: Iterator[bytes]
) -> None:
    facts = read(api, STREAM, stream)
    assert len(facts.tool_calls) == MAX_ITEMS
    assert all(call.complete and call.arguments.strip() == "{}" for call in facts.tool_calls)
    assert facts.anomalies[OMITTED] == 2000 - MAX_ITEMS
    assert facts.complete


def test_many_thoughts_fit_since_they_take_one_place_each() -> None:
    def stream() -> Iterator[bytes]:
        for number in range(MAX_ITEMS):
            item = {"type": "reasoning", "id": f"rs_{number}"}
            at = {"output_index": number}
            yield event({"type": "response.output_item.added", "item": item, **at})
            yield event({"type": "response.reasoning_text.delta", "delta": "Hm", **at})
            done = {**item, "content": [{"type": "reasoning_text", "text": "Hmm."}]}
            yield event({"type": "response.output_item.done", "item": done, **at})

    facts = read(RESPONSES, STREAM, stream())
    assert [thought.content for thought in facts.thoughts] == ["Hmm."] * MAX_ITEMS


def messages_usages() -> Iterator[bytes]:
    for number in range(4_000):
        usage = {f"count_{number}_{other}": 1 for other in range(50)}
        yield event({"type": "message_delta", "usage": {"output_tokens": 7, **usage}})


def chat_finishes() -> Iterator[bytes]:
    for number in range(4_000):
        yield event(
            {
                "choices": [
                    {"index": number * 50 + other, "finish_reason": "stop"} for other in range(50)
                ]
            }
        )


def padded_starts() -> Iterator[bytes]:
    """Blocks that stay open, each of which came in a large event."""
    for number in range(60):
        block = {"type": "tool_use", "id": "toolu", "name": "f", "input": {}}
        start = {"type": "content_block_start", "index": number, "content_block": block}
        yield event({**start, "padding": "x" * MIB})


def padded_items() -> Iterator[bytes]:
    for number in range(60):
        item = {"type": "function_call", "call_id": "c", "name": "f", "action": {}}
        added = {"type": "response.output_item.added", "output_index": number, "item": item}
        yield event({**added, "padding": "x" * MIB})


def large_ids() -> Iterator[bytes]:
    for number in range(60):
        call = {"index": number, "id": "x" * MIB, "function": {"name": "f"}}
        yield event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})


@pytest.mark.parametrize(
    ("api", "stream"),
    [
        (MESSAGES, messages_usages()),
        (CHAT, chat_finishes()),
        (MESSAGES, padded_starts()),
        (RESPONSES, padded_items()),
        (CHAT, large_ids()),
    ],
    ids=["usages", "finishes", "padded starts", "padded items", "ids"],
)
def test_what_is_kept_of_a_stream_is_bounded(api: WireApi, stream: Iterator[bytes]) -> None:
    reader = open_reader(api, STREAM)
    tracemalloc.start()
    try:
        for piece in stream:
            for start in range(0, len(piece), SLICE):
                reader.feed(piece[start : start + SLICE])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 8 * MIB
    assert reader.finish(complete=True) is not None


CROWDS = {
    "objects": b"[" + b"{}," * 200_000 + b"{}]",
    "numbers": b"[" + b"0," * 600_000 + b"0]",
    "depth": b"[" * MIB,
    "pairs": b"{" + b",".join(b'"%x":0' % number for number in range(200_000)) + b"}",
}
FIELDS = {
    MESSAGES: ("content", "usage", "error", "id", "message", "content_block", "delta"),
    CHAT: ("choices", "usage", "error", "id"),
    RESPONSES: ("output", "usage", "error", "id", "item", "delta", "response"),
}


@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS.keys())
@pytest.mark.parametrize(
    ("api", "field"), [(api, field) for api, fields in FIELDS.items() for field in fields]
)
def test_reading_a_crowd_makes_few_objects(api: WireApi, field: str, crowd: bytes) -> None:
    body = b'{"%b":%b}' % (field.encode(), crowd)
    for media_type, whole in ((BODY, body), (STREAM, b"data: %b\n\n" % body)):
        tracemalloc.start()
        try:
            facts = read(api, media_type, iter([whole]))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 5 * len(whole), "copies of the bytes, and no object an element"
        assert not facts.tool_calls
        assert not facts.complete or facts.anomalies or field == "id"


BLOCKING = {
    MESSAGES: {
        "id": "x",
        "model": "m",
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "content": [],
    },
    CHAT: {
        "id": "x",
        "model": "m",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        "choices": [],
    },
    RESPONSES: {
        "id": "x",
        "model": "m",
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "output": [],
    },
}
LISTS = {MESSAGES: "content", CHAT: "choices", RESPONSES: "output"}


@pytest.mark.parametrize("api", BLOCKING)
@pytest.mark.parametrize(
    ("text", "is_told", "anomaly"),
    [
        ("A" * 4 * MIB, True, None),
        ("a, " * 100_000, True, "crowded_body"),
        ("a, " * 300_000, True, "crowded_body"),
        ("A" * 17 * MIB, True, "shortened_body"),
        (["A"] * 6 * MIB, False, "crowded_body"),
        (["A" * 60_000] * 300, False, "oversized_body"),
    ],
    ids=["an image", "a long text", "a very long text", "a film", "many words", "many texts"],
)
def test_a_large_answer_tells_its_usage(
    api: WireApi, text: object, is_told: bool, anomaly: str | None
) -> None:
    items = [{"type": "text", "text": text}]
    body = msgspec.json.encode(dict(sorted({**BLOCKING[api], LISTS[api]: items}.items())))
    facts = read(api, BODY, iter([body]))
    assert facts.anomalies == ({anomaly: 1} if anomaly else {})
    assert (facts.response_id, facts.model) == (("x", "m") if is_told else (None, None))
    assert facts.usage == TokenUsage(input=3, output=4)
