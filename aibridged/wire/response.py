"""Opens the reader that fits a response: by its API, its media type and its content coding."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from aibridged.wire.bounds import SLICE
from aibridged.wire.chat_completions import reader as chat_completions
from aibridged.wire.coding import StreamDecoder, UnsupportedCodingError
from aibridged.wire.facts import ResponseFacts, WireApi
from aibridged.wire.messages import reader as messages
from aibridged.wire.reader import BodyReader, ResponseReader, StreamReader
from aibridged.wire.responses import reader as responses

MAX_DECODED_BYTES = 32 * 1024 * 1024
"""How much of a compressed response is read: the relay passes on what its sender made of it."""

_STREAMS: Mapping[WireApi, Callable[[], StreamReader]] = {
    WireApi.MESSAGES: messages.MessagesReader,
    WireApi.CHAT_COMPLETIONS: chat_completions.ChatCompletionsReader,
    WireApi.RESPONSES: responses.ResponsesReader,
}
_BODIES: Mapping[WireApi, Callable[[bytes], ResponseFacts]] = {
    WireApi.MESSAGES: messages.read_body,
    WireApi.CHAT_COMPLETIONS: chat_completions.read_body,
    WireApi.RESPONSES: responses.read_body,
}


def open_reader(
    api: WireApi, content_type: str | None, content_encoding: str | None = None
) -> ResponseReader:
    """A reader for one response, given two of its headers as they came; never raises."""
    streamed = (content_type or "").lstrip().lower().startswith("text/event-stream")
    reader: ResponseReader = _STREAMS[api]() if streamed else BodyReader(_BODIES[api])
    if not content_encoding or content_encoding.strip().lower() == "identity":
        return reader
    try:
        decoder = StreamDecoder(content_encoding, MAX_DECODED_BYTES)
    except UnsupportedCodingError:
        return _Unread()
    return _Decoded(reader, decoder)


class _Decoded:
    """A reader behind a decoder."""

    def __init__(self, reader: ResponseReader, decoder: StreamDecoder) -> None:
        self._reader = reader
        self._decoder = decoder

    @property
    def verdict(self) -> str | None:
        if self._reader.verdict is None and self._decoder.fault is not None:
            return "ok"  # nothing more will be known, and an answer it was
        return self._reader.verdict

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

    def feed(self, chunk: bytes) -> None:
        """Nothing can be read."""

    def finish(self, complete: bool) -> ResponseFacts:
        return ResponseFacts(anomalies={"unsupported_coding": 1})
