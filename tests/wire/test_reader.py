"""What readers of streams share, and the reader of bodies."""

import msgspec
import pytest

from aibridged.wire import reader as reader_module
from aibridged.wire.bounds import MAX_VALUE
from aibridged.wire.facts import ResponseFacts, TokenUsage
from aibridged.wire.lenient import Parser, TypedEvent
from aibridged.wire.own_answers import Said
from aibridged.wire.reader import BodyReader, StreamReader

OK = b'data: {"name":"ok"}\n\n'


class Named(TypedEvent):
    name: str = ""


class OneEvent(StreamReader[Named]):
    """Reads all events, but is mistaken about `bug`."""

    PARSER = Parser(Named)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _take(self, event: Named) -> None:
        if event.name == "bug":
            raise KeyError("a reader's mistake")
        self.seen.append(event.name)

    def _take_unread(self, name: bytes, usage: msgspec.Raw) -> None:
        self.seen.append("unread")

    def _close(self) -> None:
        self.seen.append("closed")

    def _usage(self) -> TokenUsage | None:
        return None

    def _early_end(self, said: Said) -> bytes:
        return b"end"


def test_a_reader_counts_its_failures_and_reads_on() -> None:
    reader = OneEvent()
    reader.feed(b'data: {"name":"bug"}\n\ndata: \xff\n\n' + OK + b'data: {"name":"last"}')
    facts = reader.finish(complete=True)
    assert reader.seen == ["unread", "ok", "last", "closed"]
    assert facts == ResponseFacts(anomalies={"reader_failed": 1, "unreadable_event": 1})


def test_half_an_event_at_the_end_is_nothing_to_report() -> None:
    reader = OneEvent()
    reader.feed(OK + b'data: {"name')
    assert reader.finish(complete=False) == ResponseFacts()


def test_an_oversized_event_is_reported() -> None:
    reader = OneEvent()
    reader.feed(b"data: " + bytes(9 * 1024 * 1024))
    reader.feed(b"\n\n" + OK)
    assert reader.finish(complete=True).anomalies == {"oversized_event": 1}
    assert reader.seen == ["ok", "closed"]


def test_an_event_with_an_image_is_read_without_it() -> None:
    reader = OneEvent()
    image = b'data: {"image":"%b","name":"image"}\n\n' % (b"A" * 9 * 1024 * 1024)
    for start in range(0, len(image), 16 * 1024):
        reader.feed(image[start : start + 16 * 1024])
    assert reader.finish(complete=True).anomalies == {"shortened_event": 1}
    assert reader.seen == ["image", "closed"]


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
    assert reader.finish(complete=True).anomalies == {"oversized_body": 1}


def test_a_body_of_too_many_elements_is_not_kept() -> None:
    reader = BodyReader(body_length)
    for _ in range(100):
        reader.feed(b"0," * 8192)
    assert len(reader._kept.fresh) == 0
    facts = reader.finish(complete=True)
    assert facts.anomalies == {"crowded_body": 1}
    assert int(facts.response_id or 0) <= 2 * MAX_VALUE, "its end alone is read"


def test_an_event_of_too_many_elements_is_not_read() -> None:
    reader = OneEvent()
    reader.feed(b"data: [" + b"0," * 300_000 + b"0]\n\n" + OK)
    reader.feed(b"data: [" + b"0," * 300_000)
    assert reader.finish(complete=False).anomalies == {"crowded_event": 1}
    assert reader.seen == ["unread", "ok", "unread", "closed"]
