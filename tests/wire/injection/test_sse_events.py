import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aibridged.wire.bounds import SMALL
from aibridged.wire.injection import sse_events as events
from aibridged.wire.injection.sse_events import RawEvents, sse
from aibridged.wire.sse import SseSplitter, lone

STREAMS = st.lists(
    st.sampled_from([b"data: a", b"event: x", b": ping", b"\n", b"\r", b"\r\n", b"\n\n", b"data:"]),
    max_size=12,
).map(b"".join)


def split(stream, size):
    splitter = RawEvents(SseSplitter())
    found = []
    for at in range(0, len(stream), size):
        found += splitter.feed(stream[at : at + size])
    return [*found, *splitter.flush()]


@given(STREAMS, st.integers(1, 7))
def test_the_bytes_are_the_streams_and_the_events_are_the_readers(stream, size):
    found = split(stream, size)
    assert b"".join(raw for raw, *_ in found) == stream
    reader = SseSplitter()
    expected = [*reader.feed(stream), *reader.flush()]
    assert [event for _, event, _ in found if event is not None] == expected


CHUNKS = st.lists(
    st.sampled_from(
        [
            b"event: a\ndata: 1\n\n",
            b"data: 2\n\n",
            b"event: b\ndata: \n\n",
            b"data: \n\n",
            b"event: c\nevent: d\n\n",
            b"event: e\nevent: f\ndata: 3\n\n",
            b"event: g\ndata: 4\rdata: 5\n\n",
            b"data: 6\ndata: 7\n\n",
            b"event: i\nid: 1\ndata: 11\n",
            b": ping\n\n",
            b"id: 8\ndata: 9\n\n",
            b"data: 10\r",
            b"\r",
            b"\n",
            b"\n\n",
            b"event: h\n",
            b"data: ",
            b"\xef\xbb\xbf",
        ]
    ),
    max_size=12,
)


@given(CHUNKS)
@example([b"data: 2\n\n", b"event: a\ndata: 1\n\n"])
@example([b"data: 10\r", b"\r", b"data: 2\n\n"])
@example([b"data: 2\n\n", b"event: i\nid: 1\ndata: 11\n", b"\n"])
@example([b"event: h\n", b"event: a\ndata: 1\n\n"])
@example([b"data: 2\n\n", b"event: g\ndata: 4\rdata: 5\n\n"])
def test_a_chunk_that_is_one_event_is_the_one_that_would_be_split_off(chunks):
    at_once, thorough = RawEvents(SseSplitter()), RawEvents(SseSplitter())
    found, expected = [], []
    for chunk in chunks:
        event = lone(chunk) if at_once.is_between_events else None
        found += [(chunk, event, True)] if event is not None else at_once.feed(chunk)
        expected += thorough.feed(chunk)
    assert [*found, *at_once.flush()] == [*expected, *thorough.flush()]


def test_most_chunks_are_one_event():
    splitter = RawEvents(SseSplitter())
    assert not splitter.is_between_events, "a stream may begin with a byte order mark"
    splitter.feed(b"data: 1\n\n")
    assert splitter.is_between_events
    assert lone(b"event: a\ndata: {}\n\n") == (b"a", b"{}")
    assert lone(b"data: {}\n\n") == (b"", b"{}")
    assert lone(b"data: %b\n\n" % (b"x" * SMALL)) is None


def test_a_comment_is_no_event():
    assert split(b": ping\n\ndata: 1\n\n", 100) == [
        (b": ping\n\n", None, True),
        (b"data: 1\n\n", (b"", b"1"), True),
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_that_is_too_long_is_passed_on_unread(monkeypatch, size):
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 50)
    stream = b"data: " + b"x" * 200 + b"\n\ndata: 1\n\n"
    splitter = RawEvents(SseSplitter(50))
    found = []
    for at in range(0, len(stream), size):
        found += splitter.feed(stream[at : at + size])
        assert at < 200 or found, "nothing that has grown too long is held back"
    assert b"".join(raw for raw, *_ in found) == stream
    assert [event for _, event, _ in found if event] == [(b"", b"1")]


def test_an_event_is_written_in_the_usual_shape():
    assert sse(b"ping", b"{}") == b"event: ping\ndata: {}\n\n"
    assert sse(b"", b"{\n}") == b"data: {\ndata: }\n\n"


def test_a_long_event_in_short_pieces_is_looked_at_once():
    splitter = RawEvents(SseSplitter())
    began = time.process_time()
    for _ in range(200_000):
        assert not splitter.feed(b"data: 789\n")
    assert time.process_time() - began < 10, "looked at anew with each piece it takes minutes"
    ((raw, _, _),) = splitter.feed(b"\n")
    assert len(raw) == 2_000_001


@pytest.mark.parametrize("flood", [b"\n", b"\r", b"\r\n"])
def test_blank_lines_belong_to_the_event_before_them(flood):
    splitter = RawEvents(SseSplitter())
    found = splitter.feed(b"data: 1" + flood * 100_000 + b"data: 2" + flood * 2)
    assert [event for _, event, _ in found] == [(b"", b"1"), (b"", b"2")]
