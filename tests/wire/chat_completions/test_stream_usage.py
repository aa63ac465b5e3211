"""Usage is asked for on the caller's behalf, and the caller gets the stream it asked for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.chat_completions import stream_usage
from aibridged.wire.chat_completions.stream_usage import (
    MAX_HELD,
    Unasking,
    UsageWithholder,
    ask_for_usage,
    with_usage,
)
from aibridged.wire.splice import Fields


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (
            b'{"model": "m", "stream":true, "seed":1.0}',
            b'{"stream_options":{"include_usage":true},"model": "m", "stream":true, "seed":1.0}',
        ),
        (
            b'{"stream_options":{"include_usage":false,"include_obfuscation":false},"n":1e2}',
            b'{"stream_options":{"include_usage":true,"include_obfuscation":false},"n":1e2}',
        ),
        (b'{"stream_options": {}}', b'{"stream_options": {"include_usage":true}}'),
        (b'{"stream_options":null}', b'{"stream_options":{"include_usage":true}}'),
        (b'{"stream_options": 7}', b'{"stream_options": 7}'),
    ],
)
def test_asking(body: bytes, asked: bytes) -> None:
    assert ask_for_usage(Fields(body)).source == asked
    if b"stream_options" not in body:
        assert with_usage(body) == asked


TEXT = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"prompt_tokens"}}],"usage":null}\n\n'
)
CONTINUOUS = b'data: {"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'
FILTER = b'data: {"choices":[],"prompt_filter_results":[],"note":"prompt_tokens"}\n\n'
USAGE = b'event: chunk\ndata: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = b": hi\n\n" + FILTER + TEXT + CONTINUOUS + USAGE + DONE
PASSED = STREAM.replace(USAGE, b"")


def passed(*chunks: bytes) -> bytes:
    withholder = UsageWithholder()
    return b"".join(withholder.feed(chunk) for chunk in chunks) + withholder.finish()


def test_only_the_usage_chunk_is_withheld_however_the_stream_is_cut() -> None:
    for cut in range(len(STREAM)):
        assert passed(STREAM[:cut], STREAM[cut:]) == PASSED
    assert passed(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == PASSED


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends(end: bytes) -> None:
    stream, expected = (part.replace(b"\n", end) for part in (STREAM, PASSED))
    assert passed(stream) == expected
    for cut in range(len(stream)):
        assert passed(stream[:cut], stream[cut:]) == expected
    assert passed(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@pytest.mark.parametrize(
    "chunk",
    [
        b'{"choices":null,"usage":{"prompt_tokens":1}}',
        b'{"usage":{"input_tokens":1}}',
        b'{"choices":[],"usage":{}}',
        b'{"choices":[],"usage":[7]}',
        b'{"choices":[],"usage" : {"prompt_tokens":1,"cost":NaN}}',
        b'{"choices":[],"note":"\xff","usage":{"prompt_tokens":1}}',
        b'{"id":"c","choices":[],\ndata: "usage":{"prompt_tokens":1}}',
    ],
)
def test_a_usage_chunk_of_an_odd_shape_is_withheld_too(chunk: bytes) -> None:
    assert passed(TEXT, b"data: " + chunk + b"\n\n", DONE) == TEXT + DONE


@pytest.mark.parametrize(
    "chunk",
    [
        b'{"choices":[],"usage":null}',
        b'{"choices":[{"index":0}],"usage":{"prompt_tokens":1}}',
        b'{"error":{"message":"overloaded"},"usage":{"prompt_tokens":1}}',
        b'{"choices":[],"usage":{"prompt_tokens":1}',
        b'["usage",{"usage":1}]',
    ],
)
def test_whatever_else_a_chunk_says_is_passed_on(chunk: bytes) -> None:
    assert passed(TEXT, b"data: " + chunk + b"\n\n", DONE) == b"%bdata: %b\n\n%b" % (
        TEXT,
        chunk,
        DONE,
    )


def test_a_whole_event_is_passed_on_at_once() -> None:
    withholder = UsageWithholder()
    assert withholder.feed(TEXT) == TEXT
    assert withholder.feed(TEXT[:-1]) == b""
    assert withholder.feed(TEXT[-1:] + DONE[:5]) == TEXT
    assert withholder.feed(DONE[5:]) == DONE


def test_little_is_held_back() -> None:
    withholder = UsageWithholder()
    assert withholder.feed(bytes(MAX_HELD)) == b""
    assert withholder.feed(b"x") == bytes(MAX_HELD) + b"x"
    assert withholder.feed(b"\n\n" + USAGE + DONE) == b"\n\n" + DONE


@pytest.mark.parametrize("flood", [b"\n", b"\r", b"\r\n", b"data:x\n\n", b": c\r\r"])
def test_events_without_usage_are_not_looked_at_one_by_one(
    flood: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []
    monkeypatch.setattr(stream_usage, "_is_usage_chunk", looked_at.append)
    assert passed(b"data: a\n\ndata:", b" b" + flood * 10_000, b"c").endswith(flood + b"c")
    assert looked_at == []


def test_a_stream_that_breaks_off_is_passed_on_to_its_last_byte() -> None:
    assert passed(TEXT + USAGE[:40]) == TEXT + USAGE[:40]


@given(st.lists(st.sampled_from([b"\r", b"\n", b"data: ", b'{"a":1}', b"prompt_tokens", b"x"])))
def test_bytes_without_a_usage_chunk_pass_unchanged(chunks: list[bytes]) -> None:
    assert passed(*chunks) == b"".join(chunks)


def test_the_asked_body_is_what_it_was() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "é\n\"'"}], "stream": True}
    asked = msgspec.json.decode(with_usage(msgspec.json.encode(body)))
    assert asked == {**body, "stream_options": {"include_usage": True}}


def test_what_is_held_is_looked_at_once() -> None:
    withholder = UsageWithholder()
    looked_at = []

    class Watching:
        def search(self, held: bytearray, start: int) -> None:
            looked_at.append(len(held) - start)

    real, stream_usage.BLANK_LINE = stream_usage.BLANK_LINE, Watching()  # type: ignore[assignment]
    try:
        for _ in range(MAX_HELD // 10):
            withholder.feed(b"0123456789")
    finally:
        stream_usage.BLANK_LINE = real
    assert max(looked_at) < 20


ASKED = [
    (b'{"model": "m","messages":[1] }', None),
    (b'{"messages":[1],"stream_options": null,"n":1}', b"null"),
    (b'{"stream_options":{"x":1e2},"messages":[1]}', b'{"x":1e2}'),
    (b'{"messages":[1],"stream_options":{}}', b"{}"),
    (b"{}", None),
]


@pytest.mark.parametrize(("body", "given"), ASKED)
def test_what_was_asked_can_be_taken_back(body: bytes, given: bytes | None) -> None:
    asked = ask_for_usage(Fields(body))
    unasking = Unasking.of(asked, given)
    assert unasking(asked.source) == body
    later = asked.source.replace(b"[1]", b"[1,2,3]")
    assert unasking(later) == body.replace(b"[1]", b"[1,2,3]")
    if given is None and body != b"{}":
        unasking = Unasking.of(Fields(with_usage(body)), None)
        assert unasking(with_usage(body)) == body
