"""Server-sent events with their bytes, for passing a stream on with some events changed."""

import re
from collections.abc import Sequence

from aibridged.wire.sse import MAX_EVENT_BYTES, Event, SseSplitter

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_CR = 13  # as a number, which is found faster

RawEvent = tuple[bytes, Event | None]
"""The bytes, and the event that they are; None where they hold none: a comment, say."""


class RawEvents:
    """Turns the bytes of one stream into its events, each with the bytes that it is made of.

    The bytes of all that is given out, joined, are those of the stream. An event that is too long
    to be read is given out with None.
    """

    def __init__(self) -> None:
        self._held = b""
        self._splitter = SseSplitter()

    def feed(self, chunk: bytes) -> Sequence[RawEvent]:
        """What ends within `chunk`, in order."""
        stream = self._held + chunk if self._held else chunk
        if _CR in stream:
            raws = []
            start = 0
            for blank in _BLANK_LINE.finditer(stream):
                raws.append(stream[start : blank.end()])
                start = blank.end()
            self._held = stream[start:]
        else:
            *blocks, self._held = stream.split(b"\n\n")
            if len(blocks) == 1 and not self._held:  # as nearly always
                return (self._read(stream),)
            raws = [block + b"\n\n" for block in blocks]
        found = [self._read(raw) for raw in raws]
        if len(self._held) > MAX_EVENT_BYTES:
            held, self._held = self._held, b""
            found.append((held, None))
        return found

    def flush(self) -> Sequence[RawEvent]:
        """The event at the end of the stream whose blank line is missing, if there is one."""
        held, self._held = self._held, b""
        if not held:
            return ()
        events = [*self._splitter.feed(held), *self._splitter.flush()]
        return ((held, events[0] if events else None),)

    def _read(self, raw: bytes) -> RawEvent:
        events = self._splitter.feed(raw)
        return raw, events[0] if events else None


def sse(name: bytes, data: bytes) -> bytes:
    """An event in the usual shape; one without a name has data only."""
    lines = b"data: %b\n\n" % data.replace(b"\n", b"\ndata: ")
    return b"event: %b\n%b" % (name, lines) if name else lines
