"""The shape of a response reader, and what all readers of streams share.

A reader is fed what the relay passes on, looks at it after it has gone, and never raises: what it
can't read is counted by kind, for the caller to log once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from aibridged.wire.bounds import MAX_CROWD, has_more_commas
from aibridged.wire.collector import UNREADABLE, Collector, is_json, verdict_of
from aibridged.wire.facts import ProviderError, ResponseFacts, TokenUsage
from aibridged.wire.sse import SseSplitter

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A longer blocking answer is relayed but not read."""


class ResponseReader(Protocol):
    """What the relay sees of every reader."""

    @property
    def verdict(self) -> str | None:
        """How a stream began: None until known, then "ok" or the kind of its error.

        See `collector.verdict_of` for the kinds. For a blocking answer it stays None: there the
        status says it.
        """
        ...

    def feed(self, chunk: bytes) -> Iterator[None] | None:
        """Read the next bytes of the body, step by step where steps are returned."""
        ...

    def finish(self, complete: bool) -> ResponseFacts:
        """The facts; `complete` says that the body ended in order and wasn't broken off."""
        ...


class StreamReader(ABC):
    """Reads a stream of server-sent events; a subclass knows one API's events."""

    def __init__(self) -> None:
        self.verdict: str | None = None
        self._splitter = SseSplitter()
        self._collector = Collector()
        self._stopped = False  # the model has said why it stopped: the last usage counts are there
        self._ended = False  # the API's own word for the end of the stream has come

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes of the stream."""
        splitter = self._splitter
        if (
            self._is_plain_text(chunk)
            and splitter.is_between_events
            and chunk.find(b"\n\n") == len(chunk) - 2
        ):
            return  # one whole event, as nearly all chunks are
        for name, data in splitter.feed(chunk):
            if has_more_commas(data, MAX_CROWD):
                self._collector.count("crowded_event")
                continue
            try:
                self._read(name, data)
            except UNREADABLE:
                self._collector.count("unreadable_event")
            except Exception:  # noqa: BLE001 - a reader's mistake must not break the relay
                self._collector.count("reader_failed")

    def finish(self, complete: bool) -> ResponseFacts:
        """The facts as far as they came; `complete` says that the body ended in order."""
        collector = self._collector
        with suppress(*UNREADABLE):  # half an event, as a broken stream leaves it
            for name, data in self._splitter.flush():
                if not has_more_commas(data, MAX_CROWD):
                    self._read(name, data)
        if self._splitter.oversized:
            collector.anomalies["oversized_event"] = self._splitter.oversized
        self._close()
        whole = self._ended or (complete and self._stopped)
        return collector.result(self._usage(), complete=whole)

    def _fail(self, error: ProviderError) -> None:
        """Note the stream's error, which is the verdict if nothing came before it."""
        if self._collector.error is None:  # an error may be told again, in fewer words
            self._collector.error = error
        if self.verdict is None:
            self.verdict = verdict_of(error)

    def _is_plain_text(self, chunk: bytes) -> bool:
        """Whether the event that `chunk` begins with is known at a glance to hold text alone."""
        return False

    @abstractmethod
    def _read(self, name: bytes, data: bytes) -> None:
        """Take the facts out of one event; may raise."""

    @abstractmethod
    def _close(self) -> None:
        """Turn what is still open into incomplete facts."""

    @abstractmethod
    def _usage(self) -> TokenUsage | None:
        """The usage as far as it was told."""


class BodyReader:
    """Reads a blocking answer: collects it, and reads it whole at the end."""

    verdict = None

    def __init__(self, read_body: Callable[[bytes], ResponseFacts]) -> None:
        self._read_body = read_body
        self._body = bytearray()
        self._commas = 0
        self._unread: str | None = None  # why it isn't read

    def feed(self, chunk: bytes) -> None:
        """Keep the next bytes of the body."""
        if self._unread is not None:
            return
        self._body += chunk
        self._commas += chunk.count(b",")
        if len(self._body) > MAX_BODY_BYTES:
            self._unread = "oversized_body"
        elif self._commas > MAX_CROWD:
            self._unread = "crowded_body"
        else:
            return
        self._body = bytearray()

    def finish(self, complete: bool) -> ResponseFacts:
        """The facts; of a body that broke off within its JSON there are none."""
        if self._unread is not None:
            return ResponseFacts(anomalies={self._unread: 1})
        if not complete and not is_json(self._body):
            return ResponseFacts()
        return self._read_body(bytes(self._body))
