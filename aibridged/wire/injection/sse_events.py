"""Server-sent events with their bytes, for passing a stream on with some events changed."""

import re
from collections.abc import Sequence

from aibridged.wire.bounds import SMALL
from aibridged.wire.sse import MAX_EVENT_BYTES, Event, SseSplitter

_BLANK_LINES = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)+")
_PART_OF_BLANK_LINE = 3  # bytes that may belong to one that has come in part
_CR = 13  # as a number, which is found faster
_LINES_WITH_NAME, _LINES_WITHOUT_NAME = (
    3,
    2,
)  # of an event in the usual shape, the blank one included

RawEvent = tuple[bytes, Event | None]
"""The bytes, and the event that they are; None where they hold none: a comment, say."""


class RawEvents:
    """Turns the bytes of one stream into its events, each with the bytes that it is made of.

    The bytes of all that is given out, joined, are those of the stream. An event that is too long
    to be read is given out with None.
    """

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of an event
        self._scanned = 0  # how much of it is known to hold no blank line
        self._splitter = SseSplitter()

    @property
    def is_between_events(self) -> bool:
        """Whether the next chunk begins with an event."""
        return not self._held and self._splitter.is_between_events

    def lone(self, chunk: bytes) -> Event | None:
        """The event that a chunk is: nearly all are one, whole, small and in the usual shape.

        `feed` is for the chunks of which this is None, and would find the same event.
        """
        if not is_lone(chunk) or not self.is_between_events:
            return None
        if chunk.startswith(b"data: "):
            return b"", chunk[6:-2]
        name, _, data = chunk[7:-2].partition(b"\ndata: ")
        return (name, data) if data else None

    def feed(self, chunk: bytes) -> Sequence[RawEvent]:
        """What ends within `chunk`, in order."""
        stream = chunk
        if self._held:
            self._held += chunk
            stream = self._take() if _BLANK_LINES.search(self._held, self._scanned) else b""
        found = [self._read(raw) for raw in self._cut(stream)] if stream else []
        self._scanned = max(0, len(self._held) - _PART_OF_BLANK_LINE)
        if len(self._held) > MAX_EVENT_BYTES:
            found.append((self._take(), None))
        return found

    def _cut(self, stream: bytes) -> Sequence[bytes]:
        """The events that end in it, each with the blank lines behind it; the rest is held."""
        if _CR not in stream and b"\n\n\n" not in stream:
            *blocks, rest = stream.split(b"\n\n")
            self._held += rest
            if len(blocks) == 1 and not rest:  # as nearly always
                return (stream,)
            return [block + b"\n\n" for block in blocks]
        raws = []
        start = 0
        for blank in _BLANK_LINES.finditer(stream):
            raws.append(stream[start : blank.end()])
            start = blank.end()
        self._held += stream[start:]
        return raws

    def _take(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def flush(self) -> Sequence[RawEvent]:
        """The event at the end of the stream whose blank line is missing, if there is one."""
        held = self._take()
        if not held:
            return ()
        events = [*self._splitter.feed(held), *self._splitter.flush()]
        return ((held, events[0] if events else None),)

    def _read(self, raw: bytes) -> RawEvent:
        events = self._splitter.feed(raw)
        return raw, events[0] if events else None


def is_lone(chunk: bytes) -> bool:
    """Whether it is one small event in the usual shape, apart from data that may be missing."""
    lines = chunk.count(b"\n")
    return (
        chunk.endswith(b"\n\n")
        and (
            (lines == _LINES_WITH_NAME and chunk.startswith(b"event: "))
            or (lines == _LINES_WITHOUT_NAME and chunk.startswith(b"data: "))
        )
        and len(chunk) <= SMALL
        and _CR not in chunk
    )


def sse(name: bytes, data: bytes) -> bytes:
    """An event in the usual shape; one without a name has data only."""
    lines = b"data: %b\n\n" % data.replace(b"\n", b"\ndata: ")
    return b"event: %b\n%b" % (name, lines) if name else lines
