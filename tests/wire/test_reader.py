"""What readers of streams share, and the reader of bodies."""

import pytest

from aibridged.wire import reader as reader_module
from aibridged.wire.facts import ResponseFacts, TokenUsage
from aibridged.wire.reader import BodyReader, StreamReader


class OneEvent(StreamReader):
    """Reads `ok`, is mistaken about `bug`, and can't read anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def _read(self, name: bytes, data: bytes) -> None:
        if data == b"bug":
            raise KeyError("a reader's mistake")
        if data != b"ok":
            data.decode("ascii")
        self.seen.append(data)

    def _close(self) -> None:
        self.seen.append(b"closed")

    def _usage(self) -> TokenUsage | None:
        return None


def test_a_reader_counts_its_failures_and_reads_on() -> None:
    reader = OneEvent()
    reader.feed(b"data: bug\n\ndata: \xff\n\ndata: ok\n\ndata: last")
    facts = reader.finish(complete=True)
    assert reader.seen == [b"ok", b"last", b"closed"]
    assert facts == ResponseFacts(anomalies={"reader_failed": 1, "unreadable_event": 1})


def test_half_an_event_at_the_end_is_nothing_to_report() -> None:
    reader = OneEvent()
    reader.feed(b"data: ok\n\ndata: \xff")
    assert reader.finish(complete=False) == ResponseFacts()


def test_an_oversized_event_is_reported() -> None:
    reader = OneEvent()
    reader.feed(b"data: " + bytes(9 * 1024 * 1024))
    reader.feed(b"\n\ndata: ok\n\n")
    assert reader.finish(complete=True).anomalies == {"oversized_event": 1}
    assert reader.seen == [b"ok", b"closed"]


def body_length(body: bytes) -> ResponseFacts:
    return ResponseFacts(response_id=str(len(body)), complete=True)


def test_a_body_is_read_whole() -> None:
    reader = BodyReader(body_length)
    reader.feed(b"[1")
    reader.feed(b",2]")
    assert reader.finish(complete=True) == ResponseFacts(response_id="5", complete=True)


@pytest.mark.parametrize(("body", "facts"), [(b"[1,2]", body_length(b"[1,2]")), (b"[1", None)])
def test_a_body_that_broke_off_is_read_if_its_json_is_whole(
    body: bytes, facts: ResponseFacts | None
) -> None:
    reader = BodyReader(body_length)
    reader.feed(body)
    assert reader.finish(complete=False) == (facts or ResponseFacts())


def test_a_body_is_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MAX_BODY_BYTES", 10)
    reader = BodyReader(body_length)
    for _ in range(3):
        reader.feed(b"12345")
    assert reader.finish(complete=True) == ResponseFacts(anomalies={"oversized_body": 1})


def test_a_body_of_too_many_elements_is_not_kept() -> None:
    reader = BodyReader(body_length)
    for _ in range(100):
        reader.feed(b"0," * 8192)
    assert len(reader._body) == 0
    assert reader.finish(complete=True) == ResponseFacts(anomalies={"crowded_body": 1})


def test_an_event_of_too_many_elements_is_not_read() -> None:
    reader = OneEvent()
    reader.feed(b"data: [" + b"0," * 300_000 + b"0]\n\ndata: ok\n\n")
    reader.feed(b"data: [" + b"0," * 300_000)
    assert reader.finish(complete=False).anomalies == {"crowded_event": 1}
    assert reader.seen == [b"ok", b"closed"]
