"""Server-sent events with their bytes, for passing a stream on with some events changed."""

import re
from collections.abc import Iterator

from aibridged.wire.sse import MAX_EVENT_BYTES, Event, SseSplitter

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")


class RawEvents:
    """Turns the bytes of one stream into its events, each with the bytes that it is made of.

    The bytes of all that is given out, joined, are those of the stream. What holds no event
    (a comment, an event that is too long to be read) is given out with None.
    """

    def __init__(self) -> None:
        self._held = b""
        self._splitter = SseSplitter()

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, Event | None]]:
        """What ends within `chunk`, in order."""
        stream = self._held + chunk if self._held else chunk
        start = 0
        for blank in _BLANK_LINE.finditer(stream):
            yield self._read(stream[start : blank.end()])
            start = blank.end()
        self._held = stream[start:]
        if len(self._held) > MAX_EVENT_BYTES:
            held, self._held = self._held, b""
            yield held, None

    def flush(self) -> Iterator[tuple[bytes, Event | None]]:
        """The event at the end of the stream whose blank line is missing, if there is one."""
        held, self._held = self._held, b""
        if held:
            events = [*self._splitter.feed(held), *self._splitter.flush()]
            yield held, events[0] if events else None

    def _read(self, raw: bytes) -> tuple[bytes, Event | None]:
        events = self._splitter.feed(raw)
        return raw, events[0] if events else None


def sse(name: bytes, data: bytes) -> bytes:
    """An event in the usual shape; one without a name has data only."""
    lines = b"data: %b\n\n" % data.replace(b"\n", b"\ndata: ")
    return b"event: %b\n%b" % (name, lines) if name else lines
