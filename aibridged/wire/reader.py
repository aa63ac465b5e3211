"""The shape of a response reader, and what all readers of streams share.

A reader is fed what the relay passes on, looks at it after it has gone, and never raises: what it
can't read is counted by kind, for the caller to log once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from aibridged.wire import lenient
from aibridged.wire.bounds import MAX_CROWD, SMALL, UNREADABLE
from aibridged.wire.collector import Collector, is_json, verdict_of
from aibridged.wire.facts import ProviderError, ResponseFacts, TokenUsage
from aibridged.wire.lenient import Parser, TypedEvent
from aibridged.wire.own_answers import Said
from aibridged.wire.shorten import Kept
from aibridged.wire.sse import SseSplitter, lone

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A longer blocking response is read without its long strings; of one that is too long even so only
the usage is read, where that stands at the end."""

MAX_ODD_SHORT = 512
"""Events of less than `SHORT` bytes that are read leniently in one stream.

That costs each of them several times what strict decoding does, and a stream can have nothing else.
"""
SHORT = 64

Event = TypeVar("Event", bound=TypedEvent)


class ResponseReader(Protocol):
    """What the relay sees of every reader."""

    @property
    def verdict(self) -> str | None:
        """How a stream began: None until known, then "ok" or the kind of its error.

        See `collector.verdict_of` for the kinds. For a blocking response it is "ok": there the
        status says it.
        """
        ...

    @property
    def response_id(self) -> str | None:
        """The id of the response, as soon as a stream has told it."""
        ...

    @property
    def stream(self) -> "AnyReader | None":
        """What reads the body as it is, if that is a stream, and known to be one."""
        ...

    def feed(self, chunk: bytes) -> Iterator[None] | None:
        """Read the next bytes of the body, step by step where steps are returned."""
        ...

    def finish(self, complete: bool) -> ResponseFacts:
        """The facts; `complete` says that the body ended in order and wasn't broken off."""
        ...


class StreamReader(ABC, Generic[Event]):
    """Reads a stream of server-sent events; a subclass knows one API's events.

    It is fed bytes, or, where tools of the gateway may be called, the events that `parse` has made
    of them for its owner, too (see `injection.dialogue`).
    """

    PARSER: ClassVar[Parser]  # type: ignore[type-arg]  # of the subclass's events

    def __init__(self) -> None:
        self.verdict: str | None = None
        self.splitter = SseSplitter()
        self._decode: Callable[[bytes], Event] = self.PARSER.decode
        self._collector = Collector()
        self._stopped = False  # the model has said why it stopped: the last usage counts are there
        self._odd_short = 0
        self._is_closing = False  # what comes now may be half an event
        self._ended = False  # the event that ends the API's streams has come

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the stream."""
        splitter = self.splitter
        if splitter.is_between_events:
            if self.is_text(chunk):  # as nearly all chunks are
                return
            event = lone(chunk)
            if event is not None:
                self.read(*event)
                return
        for name, data in splitter.feed(chunk):
            self.read(name, data)

    @property
    def response_id(self) -> str | None:
        """The id of the response, once it has been told."""
        return self._collector.response_id

    @property
    def stream(self) -> "AnyReader":
        return self

    @property
    def usage_so_far(self) -> TokenUsage | None:
        """The usage as far as it was told."""
        return self._usage()

    def early_end(self, said: Said) -> bytes:
        """What ends the stream for its client between two events; see `early_ends`."""
        if self._ended or self._collector.error is not None:
            return b""
        model = self._collector.model or said.model
        return self._early_end(said._replace(model=model))

    def finish(self, complete: bool) -> ResponseFacts:
        """The facts as far as they came; `complete` says that the body ended in order."""
        collector, splitter = self._collector, self.splitter
        counted = dict(collector.anomalies)
        self._is_closing = True
        for name, data in splitter.flush():
            if not self.read(name, data):  # half an event, as a broken stream leaves it
                collector.anomalies = counted
        if splitter.oversized:
            collector.anomalies["oversized_event"] = splitter.oversized
        if splitter.shortened:
            collector.anomalies["shortened_event"] = splitter.shortened
        self._close()
        whole = self._ended or (complete and self._stopped)
        return collector.result(self._usage(), complete=whole)

    def parse(self, name: bytes, data: bytes, *, is_silent: bool = False) -> Event | None:
        """The event, or None where it can't be read even leniently.

        What can't be read is counted, unless it `is_silent`: then nothing is missed on record.
        """
        count = lenient.uncounted if is_silent else self._collector.count
        event: Event | None = None
        if len(data) <= SMALL:
            try:
                event = self._decode(data)
            except UNREADABLE:
                event = None
        if event is None and len(data) < SHORT:
            self._odd_short += 1
            if self._odd_short > MAX_ODD_SHORT:
                count("unreadable_event")
                return None
        if event is None:
            event = self.PARSER.read(data, count, "event")
        if event is None:
            if not is_silent:
                self._take_unread(b"" if self._is_closing else name, lenient.usage_in(data))
        elif name and not event.type:
            event.type = name.decode("utf-8", "replace")
        return event

    def note(self, event: Event) -> None:
        """Take the facts out of an event."""
        try:
            self._take(event)
        except Exception:  # noqa: BLE001 - a reader's mistake must not break the relay
            self._collector.count("reader_failed")

    def count(self, kind: str) -> None:
        """Note what couldn't be read before it came here."""
        self._collector.count(kind)

    def read(self, name: bytes, data: bytes) -> bool:
        """Read an event; returns whether that could be done."""
        if self.is_silent(name, data):
            return True
        event = self.parse(name, data)
        if event is None:
            return False
        self.note(event)
        return True

    def _fail(self, error: ProviderError) -> None:
        """Note the stream's error, which is the verdict if nothing came before it."""
        if self._collector.error is None:  # an error may be told again, in fewer words
            self._collector.error = error
        if self.verdict is None:
            self.verdict = verdict_of(error)

    def is_silent(self, name: bytes, data: bytes) -> bool:
        """Whether an event is known at a glance to hold no fact."""
        return False

    def is_text(self, chunk: bytes) -> bool:
        """Whether `chunk` is known at a glance to be one whole event, with text alone."""
        return False

    @abstractmethod
    def _take(self, event: Event) -> None:
        """Take the facts out of one event; may raise."""

    @abstractmethod
    def _take_unread(self, name: bytes, usage: msgspec.Raw) -> None:
        """Take what is known of an event that can't be read: its name, and maybe its usage."""

    @abstractmethod
    def _close(self) -> None:
        """Turn what is still open into incomplete facts."""

    @abstractmethod
    def _usage(self) -> TokenUsage | None:
        """The usage as far as it was told."""

    @abstractmethod
    def _early_end(self, said: Said) -> bytes:
        """See `early_end`; neither an error nor the end has come."""


AnyReader = StreamReader[Any]


class Told:
    """Stands for the reader of a response that has been read already."""

    verdict = "ok"
    stream = None

    def __init__(self, facts: ResponseFacts) -> None:
        self._facts = facts
        self.response_id = facts.response_id

    def feed(self, chunk: bytes) -> None:
        """There is nothing more to be read."""

    def finish(self, complete: bool) -> ResponseFacts:
        return self._facts


class BodyReader:
    """Reads a blocking response: collects it, and reads it whole at the end."""

    verdict = "ok"
    response_id = None
    stream = None

    _first = b""
    _kept: Kept | None = None  # of a body that comes in several pieces
    _commas = 0

    def __init__(self, read_body: Callable[[bytes], ResponseFacts]) -> None:
        self._read_body = read_body

    def feed(self, chunk: bytes) -> None:
        """Keep the next bytes of the body."""
        if self._kept is not None:
            self._keep(self._kept, chunk)
        elif not self._first:
            self._first = chunk
        else:
            self._kept = Kept(MAX_BODY_BYTES)
            self._keep(self._kept, self._first)
            self._keep(self._kept, chunk)

    def _keep(self, kept: Kept, chunk: bytes) -> None:
        kept.fresh += chunk
        kept.bound(len(kept.fresh))
        self._commas += chunk.count(b",")
        if self._commas > MAX_CROWD and not kept.is_oversized:
            kept.keep_the_end()

    def finish(self, complete: bool) -> ResponseFacts:
        """The facts; of a body that broke off within its JSON there are none."""
        kept = self._kept
        body = self._first if kept is None else kept.text(len(kept.fresh))
        if not body.strip() or not (complete or is_json(body)):
            return ResponseFacts()
        facts = self._read_body(body)
        if kept is None:
            return facts
        if kept.is_oversized:
            kind = "crowded_body" if self._commas > MAX_CROWD else "oversized_body"
            return msgspec.structs.replace(facts, anomalies={kind: 1})
        if kept.is_short:
            anomalies = {**facts.anomalies, "shortened_body": 1}
            return msgspec.structs.replace(facts, anomalies=anomalies)
        return facts
