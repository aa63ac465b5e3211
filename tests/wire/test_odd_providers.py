"""Providers that are odd in random ways: what they say is relayed and counted all the same.

An answer is made with what it says known, put into one of the APIs with random oddities of the
kinds that real servers have, or garbled in one place, and streamed in random cuts. Both consumers
read it: the bytes pass unchanged, nothing raises, and the usage is right wherever it was given.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aibridged.wire.facts import ResponseFacts, TokenUsage, WireApi
from aibridged.wire.injection.inject import MAX_TOOLS
from aibridged.wire.response import open_reader
from tests.wire.conftest import empty_dialogue, read_turn

EXAMPLES = 34_000 if os.environ.get("AIBRIDGED_ABUSE") else 200
"""Of each of three tests: more than 500 together, and at full length more than 100,000."""
CHAT, MESSAGES, RESPONSES = WireApi.CHAT_COMPLETIONS, WireApi.MESSAGES, WireApi.RESPONSES

CONTROL, INVALID = "\x01", "\u00a7"
"""In a text, what is written raw, and as bytes that are no UTF-8."""

CONTROL_ESCAPED, INVALID_ESCAPED = (
    re.compile(rb"(?<!\\)((?:\\\\)*)\\u" + code) for code in (b"0001", b"00a7")
)

TEXTS = st.text(st.sampled_from(f'ab ,{{"\\\n😀é{CONTROL}'), max_size=8)
ARGUMENTS = st.dictionaries(st.sampled_from("xyz"), TEXTS | st.integers(0, 9), max_size=2)
COUNTS = st.integers(0, 10_000)
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a\ud83d", "\ude00", CONTROL, INVALID, "null", "usage", 10**30]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["index", "id", "name", "type", "x", "text"]), inner)
    ),
    max_leaves=5,
)
HABITS = (
    "numeric ids",
    "null ids",
    "list ids",
    "no index",
    "growing index",
    "growing choice",
    "changing id",
    "no id",
    "named again",
    "arguments as an object",
    "one element alone",
    "numbers for words",
    "odd fields",
    "odd usage",
    "no model",
    "not ascii",
)


@dataclass
class Said:
    """What an answer says, and how its server says it."""

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    input: int
    output: int
    habits: frozenset[str]
    odd: Any
    cuts: list[int] = field(default_factory=list)

    def has(self, habit: str) -> bool:
        return habit in self.habits

    def id(self, name: str) -> Any:
        if self.has("numeric ids"):
            return int(name.encode().hex(), 16) % 10_000
        if self.has("list ids"):
            return [name]
        return None if self.has("null ids") else name

    def pieces(self, text: str) -> list[str]:
        """The text, cut between any two of UTF-16's units, as JavaScript cuts."""
        units = text.encode("utf-16-le")
        cuts = sorted({2 * cut for cut in self.cuts if 2 * cut < len(units)} | {0})
        ends = [*cuts[1:], len(units)]
        return [
            units[start:end].decode("utf-16-le", "surrogatepass")
            for start, end in zip(cuts, ends, strict=True)
        ]

    def usage(self, input_name: str, output_name: str) -> dict[str, Any]:
        odd = {"cost": float("nan"), "note": self.odd, "x_details": [self.odd]}
        told = {input_name: self.input, output_name: self.output}
        return {**told, **odd} if self.has("odd usage") else told

    def arguments(self, arguments: dict[str, Any]) -> Any:
        if self.has("arguments as an object"):
            return arguments
        return json.dumps(arguments, ensure_ascii=False)

    def listed(self, items: list[Any]) -> Any:
        return items[0] if self.has("one element alone") and len(items) == 1 else items

    @property
    def others(self) -> dict[str, Any]:
        return {"logprobs": [float("inf"), self.odd]} if self.has("odd fields") else {}


SAID = st.builds(
    Said,
    text=TEXTS,
    calls=st.lists(ARGUMENTS, max_size=3).map(
        lambda all_: [("fgh"[number], each) for number, each in enumerate(all_)]
    ),
    input=COUNTS,
    output=COUNTS,
    habits=st.frozensets(st.sampled_from(HABITS), max_size=4),
    odd=ODD,
    cuts=st.lists(st.integers(1, 12), max_size=3),
)

Event = tuple[str, Any]


def chat_pieces(said: Said) -> Iterator[dict[str, Any]]:
    for number, (name, arguments) in enumerate(said.calls):
        given = said.arguments(arguments)
        parts = said.pieces(given) if isinstance(given, str) else [given]
        for place, part in enumerate(parts):
            function: dict[str, Any] = {"arguments": part}
            if place == 0 or said.has("named again"):
                function["name"] = name
            piece: dict[str, Any] = {"index": number, "function": function}
            if said.has("no index"):
                del piece["index"]
            elif said.has("growing index"):
                piece["index"] = 10 * number + place
            if place == 0 or said.has("named again"):
                piece["id"] = said.id(f"call_{number}")
            if said.has("changing id") and not said.has("named again"):
                piece["id"] = f"call_{number}_{place}"
            if said.has("no id"):
                piece.pop("id", None)
            yield piece


def chat_stream(said: Said) -> Iterator[Event]:
    deltas: list[dict[str, Any]] = [{"content": part} for part in said.pieces(said.text)]
    deltas += [{"tool_calls": said.listed([piece])} for piece in chat_pieces(said)]
    own: dict[str, Any] = {"id": said.id("c"), "model": None if said.has("no model") else "m"}
    for number, delta in enumerate([*deltas, {}]):
        choice: dict[str, Any] = {"index": number if said.has("growing choice") else 0}
        choice |= {"delta": delta, "finish_reason": None, **said.others}
        if number == len(deltas):
            choice["finish_reason"] = 7 if said.has("numbers for words") else "stop"
        yield "", {**own, "choices": said.listed([choice])}
    yield "", {**own, "choices": [], "usage": said.usage("prompt_tokens", "completion_tokens")}
    yield "", "[DONE]"


def chat_body(said: Said) -> Any:
    calls = [
        {
            "id": said.id(f"call_{number}"),
            "function": {"name": name, "arguments": said.arguments(arguments)},
        }
        for number, (name, arguments) in enumerate(said.calls)
    ]
    message = {"content": said.text, "tool_calls": said.listed(calls)}
    finish = 7 if said.has("numbers for words") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, **said.others}
    usage = said.usage("prompt_tokens", "completion_tokens")
    return {"id": said.id("c"), "choices": said.listed([choice]), "usage": usage}


def messages_stream(said: Said) -> Iterator[Event]:
    start = {"id": said.id("m"), "model": "m", "usage": said.usage("input_tokens", "output_tokens")}
    yield "message_start", {"message": {**start, **said.others}}
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"type": "text", "text": ""}, [{"text": part} for part in said.pieces(said.text)])
    ]
    for number, (name, arguments) in enumerate(said.calls):
        block = {"type": "tool_use", "id": said.id(f"t{number}"), "name": name, "input": {}}
        given = said.arguments(arguments)
        parts = said.pieces(given) if isinstance(given, str) else [given]
        blocks.append((block, [{"partial_json": part} for part in parts]))
    for number, (block, deltas) in enumerate(blocks):
        at = {} if said.has("no index") else {"index": number}
        yield "content_block_start", {**at, "content_block": {**block, **said.others}}
        for place, delta in enumerate(deltas):
            index = {"index": 100 + 10 * number + place} if said.has("growing index") else at
            yield "content_block_delta", {**index, "delta": delta, **said.others}
        yield "content_block_stop", at
    used = said.usage("input_tokens", "output_tokens")
    yield "message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": used}
    yield "message_stop", {}


def messages_body(said: Said) -> Any:
    content = [
        {"type": "tool_use", "id": said.id(f"t{number}"), "name": name, "input": arguments}
        for number, (name, arguments) in enumerate(said.calls)
    ]
    texts = [{"type": "text", "text": said.text, **said.others}]
    usage = said.usage("input_tokens", "output_tokens")
    return {"id": said.id("m"), "content": said.listed([*texts, *content]), "usage": usage}


def response_items(said: Said) -> list[dict[str, Any]]:
    return [
        {
            "type": "function_call",
            "id": said.id(f"fc{number}"),
            "call_id": f"call_{number}",
            "name": name,
            "arguments": said.arguments(arguments),
            **said.others,
        }
        for number, (name, arguments) in enumerate(said.calls)
    ]


def responses_stream(said: Said) -> Iterator[Event]:
    yield "response.created", {"response": {"id": said.id("r"), "model": "m", **said.others}}
    items = response_items(said)
    for part in said.pieces(said.text):
        yield "response.output_text.delta", {"delta": part, **said.others}
    for number, item in enumerate(items):
        at = {} if said.has("no index") else {"output_index": number}
        if said.has("changing id"):
            yield "response.output_item.done", {**at, "item": item}
        yield "response.output_item.added", {**at, "item": {**item, "arguments": ""}}
        for part in said.pieces(json.dumps(said.calls[number][1], ensure_ascii=False)):
            yield "response.function_call_arguments.delta", {**at, "delta": part, **said.others}
        yield "response.output_item.done", {**at, "item": item}
    yield "response.completed", {"response": responses_body(said)}


def responses_body(said: Said) -> Any:
    usage = said.usage("input_tokens", "output_tokens")
    items = said.listed(response_items(said))
    status = 7 if said.has("numbers for words") else "completed"
    return {"id": said.id("r"), "status": status, "output": items, "usage": usage}


STREAMS: dict[WireApi, Callable[[Said], Iterator[Event]]] = {
    CHAT: chat_stream,
    MESSAGES: messages_stream,
    RESPONSES: responses_stream,
}
BODIES: dict[WireApi, Callable[[Said], Any]] = {
    CHAT: chat_body,
    MESSAGES: messages_body,
    RESPONSES: responses_body,
}


def written(said: Said, plain: Any) -> bytes:
    """JSON as a server writes it that doesn't ask whether it is any."""
    if plain == "[DONE]":
        return b"[DONE]"
    text = json.dumps(plain, ensure_ascii=not said.has("not ascii"), separators=(",", ":"))
    source = text.encode("utf-8", "surrogatepass")
    source = CONTROL_ESCAPED.sub(b"\\1" + CONTROL.encode(), source)
    return INVALID_ESCAPED.sub(b"\\1\xff\xc3", source).replace(INVALID.encode(), b"\xff\xc3")


def event(name: str, data: bytes) -> bytes:
    return (f"event: {name}\n".encode() if name else b"") + b"data: %b\n\n" % data


def streamed(api: WireApi, said: Said) -> list[bytes]:
    typed = api is not CHAT
    return [
        event(name, written(said, {"type": name, **data} if typed else data))
        for name, data in STREAMS[api](said)
    ]


def cut(source: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield source[:size]
        source = source[size:]
    yield source


def read(api: WireApi, source: bytes, sizes: list[int], *, streams: bool) -> ResponseFacts:
    """The facts, which are the same for both consumers; what the client gets is `source`."""
    reader = open_reader(api, "text/event-stream" if streams else None)
    for chunk in cut(source, sizes):
        reader.feed(chunk)
    facts = reader.finish(complete=True)
    pieces = [*cut(source, sizes[::-1])]
    assert read_turn(empty_dialogue(api), pieces, streams=streams) == facts
    assert "reader_failed" not in facts.anomalies
    return facts


def counted(facts: ResponseFacts) -> TokenUsage | None:
    return facts.usage and msgspec.structs.replace(facts.usage, partial=False)


APIS = st.sampled_from(sorted(MAX_TOOLS))
SIZES = st.lists(st.integers(1, 400), max_size=12)


@pytest.mark.timeout(7200)
@settings(max_examples=EXAMPLES)
@given(APIS, SAID, SIZES, st.booleans())
def test_what_is_said_is_read(api: WireApi, said: Said, sizes: list[int], streams: bool) -> None:
    source = b"".join(streamed(api, said)) if streams else written(said, BODIES[api](said))
    facts = read(api, source, sizes, streams=streams)
    assert counted(facts) == TokenUsage(input=said.input, output=said.output)
    assert facts.complete
    assert facts.error is None
    assert set(facts.anomalies) <= {"unreadable_field", "stray_delta"}
    assert all(call.complete for call in facts.tool_calls)
    assert [(call.name, json.loads(call.arguments)) for call in facts.tool_calls] == said.calls


def places(plain: Any) -> Iterator[tuple[Any, Any]]:
    """All values within, but for those by which an event is known, and the usage's."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    for key, value in items:
        if key in ("type", "usage"):
            continue
        is_nested = isinstance(value, dict | list)
        if not (is_nested and b'"usage"' in json.dumps(value).encode()):
            yield plain, key
        if is_nested:
            yield from places(value)


@pytest.mark.timeout(7200)
@settings(max_examples=EXAMPLES)
@given(APIS, SAID, SIZES, st.booleans(), ODD, st.integers(0, 1000))
def test_a_field_of_any_kind_costs_no_tokens(
    api: WireApi, said: Said, sizes: list[int], streams: bool, odd: Any, which: int
) -> None:
    events: list[Event] = list(STREAMS[api](said)) if streams else [("", BODIES[api](said))]
    events = json.loads(json.dumps(events))  # no two of them share a value
    found = [place for _, data in events if isinstance(data, dict) for place in places(data)]
    plain, key = found[which % len(found)]
    plain[key] = odd
    typed = streams and api is not CHAT
    if streams:
        source = b"".join(
            event(name, written(said, {**data, "type": name} if typed else data))
            for name, data in events
        )
    else:
        source = written(said, events[0][1])
    facts = read(api, source, sizes, streams=streams)
    assert counted(facts) == TokenUsage(input=said.input, output=said.output)
    if not streams:
        assert "unreadable_body" not in facts.anomalies


GARBAGE = st.sampled_from(
    [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\0", b"\xff", b"x", b""]
)


@pytest.mark.timeout(7200)
@settings(max_examples=EXAMPLES)
@given(APIS, SAID, SIZES, st.booleans(), GARBAGE, st.integers(0, 10_000), st.integers(0, 50))
def test_a_garbled_event_costs_no_other_and_a_garbled_body_no_tokens(
    api: WireApi,
    said: Said,
    sizes: list[int],
    streams: bool,
    garbage: bytes,
    where: int,
    which: int,
) -> None:
    if streams:
        events = streamed(api, said)
        without = [number for number, each in enumerate(events) if b'"usage":' not in each]
        number = without[which % len(without)]
        garbled = events[number]
        start, end = garbled.index(b"data: ") + 6, len(garbled) - 2
        at = start + where % (end - start)
        events[number] = garbled[:at] + garbage + garbled[at + 1 :]
        source = b"".join(events)
    else:
        source = written(said, BODIES[api](said))
        at = 1 + where % (source.index(b'"usage"') - 1)  # which stands at the end
        source = source[:at] + garbage + source[at + 1 :]
    facts = read(api, source, sizes, streams=streams)
    assert counted(facts) == TokenUsage(input=said.input, output=said.output)
