"""Transcripts, and what must hold for a reader of any of them however the stream is cut."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from aibridged.wire.facts import ResponseFacts
from aibridged.wire.reader import ResponseReader

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
