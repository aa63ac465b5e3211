"""Opens the reader that fits a response: by its API, its beginning and its content coding.

Servers give streams a wrong media type, or none. Clients, which know what they asked for, don't
mind; so whether it is a stream is told by how it begins, and by the media type only where that
tells nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from aibridged.wire.bounds import SLICE
from aibridged.wire.chat_completions import reader as chat_completions
from aibridged.wire.coding import StreamDecoder, UnsupportedCodingError
from aibridged.wire.embeddings import EmbeddingsReader
from aibridged.wire.facts import ResponseFacts, WireApi
from aibridged.wire.messages import reader as messages
from aibridged.wire.reader import AnyReader, BodyReader, ResponseReader
from aibridged.wire.responses import reader as responses

MAX_DECODED_BYTES = 32 * 1024 * 1024
"""How much of a compressed response is read: the relay passes on what its sender made of it."""

_STREAMS: Mapping[WireApi, Callable[[], AnyReader]] = {
    WireApi.MESSAGES: messages.MessagesReader,
    WireApi.CHAT_COMPLETIONS: chat_completions.ChatCompletionsReader,
    WireApi.RESPONSES: responses.ResponsesReader,
    WireApi.COMPACTION: responses.ResponsesReader,
    WireApi.COMPLETIONS: chat_completions.CompletionsReader,
    WireApi.STORED_RESPONSES: responses.StoredResponseReader,
}
_BODIES: Mapping[WireApi, Callable[[bytes], ResponseFacts]] = {
    WireApi.MESSAGES: messages.read_body,
    WireApi.CHAT_COMPLETIONS: chat_completions.read_body,
    WireApi.RESPONSES: responses.read_body,
    WireApi.COMPACTION: responses.read_body,
    WireApi.COMPLETIONS: chat_completions.read_body,
    WireApi.STORED_RESPONSES: responses.read_stored,
}


def open_reader(
    api: WireApi, content_type: str | None, content_encoding: str | None = None
) -> ResponseReader:
    """A reader for one response, given two of its headers as they came; never raises."""
    reader: ResponseReader
    reader = EmbeddingsReader() if api is WireApi.EMBEDDINGS else _Either(api, content_type)
    if not content_encoding or content_encoding.strip().lower() == "identity":
        return reader
    try:
        decoder = StreamDecoder(content_encoding, MAX_DECODED_BYTES)
    except UnsupportedCodingError:
        return _Unread()
    return _Decoded(reader, decoder)


def is_stream(beginning: bytes) -> bool | None:
    """Whether what begins so is a stream of events, or (False) JSON; None: that isn't known yet."""
    if (found := _BEGINS.match(beginning)) is None:
        return None
    return found["field"] is not None


_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,4096}(?:(?P<field>(?:event|data|id|retry)?:)|[\[{])")
_PLAIN = (b"{", b"event:", b"data:")
_TOLD_BY = 4096  # bytes, within which the beginning tells what it is, or nothing does


class _Either:
    """Reads a stream or a body, whichever it turns out to be."""

    _beginning = b""
    _reader: ResponseReader | None = None

    def __init__(self, api: WireApi, content_type: str | None) -> None:
        self.feed: Callable[[bytes], Iterator[None] | None] = self._begin
        self._api = api
        self._content_type = content_type

    @property
    def verdict(self) -> str | None:
        reader = self._reader
        return None if reader is None else reader.verdict

    @property
    def response_id(self) -> str | None:
        return None if self._reader is None else self._reader.response_id

    @property
    def stream(self) -> AnyReader | None:
        return None if self._reader is None else self._reader.stream

    def finish(self, complete: bool) -> ResponseFacts:
        reader = self._reader or self._opened(streamed=self._is_streamed())
        return reader.finish(complete)

    def _is_streamed(self) -> bool:
        """Whether its sender says so."""
        return (self._content_type or "").lstrip().lower().startswith("text/event-stream")

    def _begin(self, chunk: bytes) -> Iterator[None] | None:
        if not self._beginning and chunk.startswith(_PLAIN):  # as nearly all begin
            return self._opened(streamed=not chunk.startswith(b"{")).feed(chunk)
        self._beginning += chunk
        streamed = is_stream(self._beginning[:_TOLD_BY])
        if streamed is not None or len(self._beginning) >= _TOLD_BY:
            self._opened(streamed=self._is_streamed() if streamed is None else streamed)
        return None

    def _opened(self, *, streamed: bool) -> ResponseReader:
        api = self._api
        reader: ResponseReader = _STREAMS[api]() if streamed else BodyReader(_BODIES[api])
        self._reader, self.feed = reader, reader.feed
        if self._beginning:
            reader.feed(self._beginning)
            self._beginning = b""
        return reader


class _Decoded:
    """A reader behind a decoder."""

    stream = None  # the client gets it encoded

    def __init__(self, reader: ResponseReader, decoder: StreamDecoder) -> None:
        self._reader = reader
        self._decoder = decoder

    @property
    def verdict(self) -> str | None:
        if self._reader.verdict is None and self._decoder.fault is not None:
            return "ok"  # nothing more will be known, and a response it was
        return self._reader.verdict

    @property
    def response_id(self) -> str | None:
        return self._reader.response_id

    def feed(self, chunk: bytes) -> Iterator[None]:
        """Read a little with each step: a few bytes can be decoded to a great many."""
        for piece in self._decoder.feed(chunk):
            for start in range(0, len(piece) or 1, SLICE):
                self._reader.feed(piece[start : start + SLICE])
                yield

    def finish(self, complete: bool) -> ResponseFacts:
        fault = self._decoder.fault
        facts = self._reader.finish(complete and fault is None)
        if fault is None:
            return facts
        return msgspec.structs.replace(facts, anomalies={**facts.anomalies, fault: 1})


class _Unread:
    """Stands in where a response's coding isn't spoken: it reads nothing and says so."""

    verdict = "ok"
    response_id = None
    stream = None

    def feed(self, chunk: bytes) -> None:
        """Nothing can be read."""

    def finish(self, complete: bool) -> ResponseFacts:
        return ResponseFacts(anomalies={"unsupported_coding": 1})
