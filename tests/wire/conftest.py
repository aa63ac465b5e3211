"""Transcripts, and what must hold for a reader of any of them however the stream is cut."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from aibridged.fake_provider import Answer, Usage, chat_completions, messages, responses
from aibridged.wire.facts import ResponseFacts, WireApi
from aibridged.wire.injection.dialogue import Dialogue, Result
from aibridged.wire.injection.inject import open_dialogue
from aibridged.wire.reader import ResponseReader
from aibridged.wire.splice import Fields

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"

OpenReader = Callable[[], ResponseReader]


def load(name: str) -> bytes:
    """The stream of a transcript: what comes after its line of prose and a blank line."""
    prose, blank, stream = (TRANSCRIPTS / f"{name}.txt").read_bytes().split(b"\n", 2)
    assert prose
    assert not blank
    return stream


def read(open_reader: OpenReader, *chunks: bytes, complete: bool = True) -> ResponseFacts:
    reader = open_reader()
    for chunk in chunks:
        for _ in reader.feed(chunk) or ():
            pass
    return reader.finish(complete)


def assert_replays(open_reader: OpenReader, stream: bytes, expected: ResponseFacts) -> None:
    """The same facts whatever the stream is cut into, and whatever its lines end with."""
    assert read(open_reader, stream) == expected
    for cut in range(len(stream)):
        assert read(open_reader, stream[:cut], stream[cut:]) == expected, f"cut at {cut}"
    events = [event + b"\n\n" for event in stream.split(b"\n\n")]
    assert read(open_reader, *events) == expected
    halves = [half for event in events for half in (event[:40], event[40:])]
    assert read(open_reader, *halves) == expected
    for variant in (stream, stream.replace(b"\n", b"\r\n"), stream.replace(b"\n", b"\r")):
        assert read(open_reader, *(variant[i : i + 1] for i in range(len(variant)))) == expected


def assert_broken_anywhere(open_reader: OpenReader, stream: bytes, expected: ResponseFacts) -> None:
    """A stream that ends anywhere gives a beginning of the facts, and says that it is one."""
    for cut in range(len(stream)):
        facts = read(open_reader, stream[:cut], complete=False)
        where = f"cut at {cut}: {facts}"
        assert facts.response_id in (None, expected.response_id), where
        assert not facts.complete or facts == expected, where
        assert facts.usage is None or facts.usage.partial or facts.usage == expected.usage, where
        assert len(facts.tool_calls) <= len(expected.tool_calls), where
        for part, whole in zip(facts.tool_calls, expected.tool_calls, strict=False):
            same = msgspec.structs.replace(part, arguments=whole.arguments, complete=whole.complete)
            assert part == whole or (same == whole and not part.complete), where
        assert len(facts.thoughts) <= len(expected.thoughts), where
        for thought, whole_thought in zip(facts.thoughts, expected.thoughts, strict=False):
            assert whole_thought.content.startswith(thought.content), where
            assert thought == whole_thought or not thought.complete, where
        assert set(facts.anomalies) <= set(expected.anomalies), where


@pytest.fixture
def transcript() -> Callable[[str], bytes]:
    """Loads a transcript's stream by its name."""
    return load


@pytest.fixture
def check_replays() -> Callable[[OpenReader, str, ResponseFacts], None]:
    """Checks that a transcript gives exactly these facts, in any chunks and broken off anywhere."""

    def check(open_reader: OpenReader, name: str, expected: ResponseFacts) -> None:
        stream = load(name)
        assert_replays(open_reader, stream, expected)
        assert_broken_anywhere(open_reader, stream, expected)

    return check


"""Answers of a model in each API, and what a dialogue makes of them."""


OURS = "bmcp_files_read"

RENDERERS: dict[WireApi, ModuleType] = {
    WireApi.MESSAGES: messages,
    WireApi.CHAT_COMPLETIONS: chat_completions,
    WireApi.RESPONSES: responses,
}
REQUESTS = {
    WireApi.MESSAGES: b'{"model":"m", "max_tokens":9,"messages":[{"role":"user","content":"hi"} ]}',
    WireApi.CHAT_COMPLETIONS: b'{"model":"m", "messages":[ {"role":"user","content":"hi"} ]}',
    WireApi.RESPONSES: b'{"model":"m", "input":[ {"role":"user","content":"hi"} ]}',
}


_EMPTY_REQUESTS = {
    WireApi.MESSAGES: b'{"messages":[]}',
    WireApi.CHAT_COMPLETIONS: b'{"messages":[]}',
    WireApi.RESPONSES: b'{"input":[]}',
}


def empty_dialogue(api: WireApi) -> Dialogue:
    """A dialogue that offers the tool `bmcp_t_echo`, in which nothing has been said."""
    return open_dialogue(api, Fields(_EMPTY_REQUESTS[api]), {"bmcp_t_echo"})


def read_turn(dialogue: Dialogue, pieces: Sequence[bytes], *, streams: bool) -> ResponseFacts:
    """The facts of a turn that calls no tool of ours: it passes byte for byte."""
    dialogue.begin_turn(last=False)
    whole = b"".join(pieces)
    if streams:
        seen = b"".join(map(dialogue.feed, pieces)) + dialogue.end_stream()
        facts = dialogue.reader.finish(complete=True)
    else:
        seen = dialogue.read(whole)
        assert dialogue.facts is not None
        facts = dialogue.facts
    assert seen == whole
    assert not dialogue.calls
    return facts


class Scene:
    """One API, a dialogue in it, and answers with ids of their own for each turn."""

    def __init__(self, api: WireApi, **options: Any) -> None:
        self.api = api
        self.renderer = RENDERERS[api]
        request = options.pop("request", REQUESTS[api])
        self.dialogue: Dialogue = open_dialogue(api, Fields(request), {OURS}, **options)

    def stream(self, said: Answer, turn: int = 1, used: Usage | None = None) -> bytes:
        used = used or Usage(input=10, output=5)
        events = self.renderer.stream("m", said, used, None, True)
        return b"".join(events).replace(b"@nonce@", b"%d" % turn)

    def body(self, said: Answer, turn: int = 1, used: Usage | None = None) -> bytes:
        whole = self.renderer.whole("m", said, used or Usage(input=10, output=5))
        return whole.replace(b"@nonce@", b"%d" % turn)

    def feed(self, stream: bytes, size: int | None = None, *, last: bool = False) -> bytes:
        """What the client sees of a turn, given in pieces of so many bytes."""
        self.dialogue.begin_turn(last=last)
        size = size or len(stream)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        return b"".join(map(self.dialogue.feed, pieces)) + self.dialogue.end_stream()

    def read(self, body: bytes, *, last: bool = False) -> bytes:
        self.dialogue.begin_turn(last=last)
        return self.dialogue.read(body)

    def answer(self, text: str = "the file", *, is_error: bool = False) -> Any:
        """The next request, with the same result for every call."""
        results = [Result(call, text, is_error) for call in self.dialogue.calls]
        return json.loads(self.dialogue.answer(results))


@pytest.fixture(params=list(RENDERERS), ids=lambda api: api.value)
def scene(request) -> Scene:
    """Each API in turn."""
    return Scene(request.param)


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    return Scene


def _events(stream: bytes) -> list[Any]:
    """The data of a stream's events; each event must be whole, and `[DONE]` stays text."""
    found = []
    assert not stream or stream.endswith(b"\n\n")
    for block in stream.split(b"\n\n")[:-1]:
        lines = block.split(b"\n")
        if lines[0].startswith(b":"):
            continue
        data = lines[-1].removeprefix(b"data: ")
        if data == b"[DONE]":
            found.append("[DONE]")
            continue
        event = json.loads(data)
        if len(lines) > 1:
            assert lines[0].decode() == f"event: {event['type']}"
        found.append(event)
    return found


@pytest.fixture
def events() -> Callable[[bytes], list[Any]]:
    return _events
