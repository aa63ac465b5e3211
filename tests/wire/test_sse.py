"""The splitter: the standard's rules, whatever the bytes are cut into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.sse import MAX_EVENT_LINES, Event, SseSplitter


def events_of(*chunks: bytes, max_event_bytes: int = 1000) -> list[Event]:
    splitter = SseSplitter(max_event_bytes)
    found = [event for chunk in chunks for event in splitter.feed(chunk)]
    return [*found, *splitter.flush()]


CASES = {
    "name and data": (b"event: a\ndata: 1\n\n", [(b"a", b"1")]),
    "data alone": (b"data: 1\n\n", [(b"", b"1")]),
    "two events": (b"event: a\ndata: 1\n\ndata: 2\n\n", [(b"a", b"1"), (b"", b"2")]),
    "no space after the colon": (b"event:a\ndata:1\n\n", [(b"a", b"1")]),
    "one space only is dropped": (b"data:  1\n\n", [(b"", b" 1")]),
    "data before name": (b"data: 1\nevent: a\n\n", [(b"a", b"1")]),
    "several data lines": (b"event: a\ndata: 1\ndata: 2\n\n", [(b"a", b"1\n2")]),
    "data lines around a name": (b"data: 1\nevent: a\ndata: 2\n\n", [(b"a", b"1\n2")]),
    "the last name counts": (b"event: a\nevent: b\ndata: 1\n\n", [(b"b", b"1")]),
    "a field without a colon": (b"data\n\n", [(b"", b"")]),
    "comment": (b": ping\n\ndata: 1\n\n", [(b"", b"1")]),
    "comment inside an event": (b"event: a\n: c\ndata: 1\n\n", [(b"a", b"1")]),
    "id and retry": (b"id: 7\nretry: 10\ndata: 1\n\n", [(b"", b"1")]),
    "unknown fields": (b"datum: 0\nevents: b\ndata: 1\n\n", [(b"", b"1")]),
    "a name without data": (b"event: ping\n\ndata: 1\n\n", [(b"", b"1")]),
    "a name does not leak": (b"event: a\n\ndata: 1\n\n", [(b"", b"1")]),
    "CRLF": (b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", [(b"a", b"1"), (b"", b"2")]),
    "CR": (b"event: a\rdata: 1\r\rdata: 2\r\r", [(b"a", b"1"), (b"", b"2")]),
    "mixed line ends": (b"event: a\r\ndata: 1\n\rdata: 2\r\n\n", [(b"a", b"1"), (b"", b"2")]),
    "BOM": (b"\xef\xbb\xbfdata: 1\n\n", [(b"", b"1")]),
    "a BOM later is no BOM": (b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n", [(b"", b"1")]),
    "blank lines between": (b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n", [(b"", b"1"), (b"", b"2")]),
    "no blank line at the end": (b"data: 1\n\ndata: 2\n", [(b"", b"1"), (b"", b"2")]),
    "no newline at the end": (b"data: 1\n\ndata: 2", [(b"", b"1"), (b"", b"2")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES.keys())
def test_events_however_the_stream_is_cut(stream: bytes, expected: list[Event]) -> None:
    assert events_of(stream) == expected
    for cut in range(len(stream) + 1):
        assert events_of(stream[:cut], stream[cut:]) == expected, f"cut at {cut}"
    assert events_of(*(stream[i : i + 1] for i in range(len(stream)))) == expected


def test_an_event_comes_as_soon_as_its_blank_line() -> None:
    splitter = SseSplitter()
    assert list(splitter.feed(b"data: 1\n")) == []
    assert list(splitter.feed(b"\ndata: 2")) == [(b"", b"1")]
    assert list(splitter.feed(b"\r\r")) == [(b"", b"2")]


def test_an_oversized_event_is_skipped_and_counted() -> None:
    long = b"event: long\ndata: " + b"x" * 100 + b"\n\n"
    stream = b"data: 1\n\n" + long + b"data: 2\n\n" + long + long + b"data: 3\n\n"
    for size in (1, 7, 50, len(stream)):
        splitter = SseSplitter(max_event_bytes=50)
        chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
        found = [event for chunk in chunks for event in splitter.feed(chunk)]
        assert found == [(b"", b"1"), (b"", b"2"), (b"", b"3")]
        assert splitter.oversized == 3


def test_an_oversized_event_does_not_stay_in_memory() -> None:
    splitter = SseSplitter(max_event_bytes=50)
    for _ in range(1000):
        splitter.feed(b"x" * 60)
    assert len(splitter._kept.fresh) <= 64 * 1024
    assert len(splitter._kept._short) <= 64 * 1024
    assert list(splitter.flush()) == []
    assert splitter.oversized == 1


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_byte_order_mark_counts_at_the_very_beginning_only(size: int) -> None:
    for before, found in ((b"", [(b"", b"1")]), (b"\n", []), (b"\n\n", [])):
        stream = before + b"\xef\xbb\xbfdata: 1\n\n"
        splitter = SseSplitter()
        chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
        assert [event for chunk in chunks for event in splitter.feed(chunk)] == found


class Counted(SseSplitter):
    """Counts the blocks that are looked at one by one."""

    blocks = 0

    def _events(self, blocks: list[bytes]) -> list[Event]:
        self.blocks += len(blocks)
        return super()._events(blocks)


@pytest.mark.parametrize("flood", [b"\n", b"\r", b"\r\n", b"\n\r\n\r", b"\r\n\n"])
@pytest.mark.parametrize("size", [1, 1000, 1 << 16])
def test_blank_lines_are_not_looked_at_one_by_one(flood: bytes, size: int) -> None:
    splitter = Counted()
    splitter.feed(b"data: 1\n\n")
    for _ in range(10):
        splitter.feed(flood * size)
    assert splitter.blocks <= 2
    assert list(splitter.feed(b"\ndata: 2\n\n")) == [(b"", b"2")]


def test_an_event_of_too_many_lines_is_skipped_and_counted() -> None:
    event = b"data: x\n" * (MAX_EVENT_LINES + 1) + b"\n"
    splitter = SseSplitter()
    assert list(splitter.feed(event + event)) == []
    assert splitter.oversized == 2
    assert [data for _, data in splitter.feed(event[8:])] == [event[8:-2].replace(b"data: ", b"")]


LINE_ENDS = (b"\n", b"\r", b"\r\n", b"\n\n")
FIELDS = (b"data: ", b"data:", b"event: ", b": ", b"d", b"event: a\ndata: b\n\n")
OTHERS = (b"x", b"{}", b"\xef\xbb\xbf", b"\xff", b"yyyyyyyyyyyyyyyy")
PIECES = st.lists(st.sampled_from(LINE_ENDS + FIELDS + OTHERS), max_size=40)


@given(PIECES, st.data())
def test_any_bytes_give_the_same_events_in_any_chunks(
    pieces: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(pieces)
    whole, cut = SseSplitter(20), SseSplitter(20)
    expected = [*whole.feed(stream), *whole.flush()]
    sizes = data.draw(st.lists(st.integers(0, 9), max_size=60))
    found: list[Event] = []
    for size in sizes:
        found += cut.feed(stream[:size])
        stream = stream[size:]
    found += cut.feed(stream)
    found += cut.flush()
    assert (found, cut.oversized) == (expected, whole.oversized)
