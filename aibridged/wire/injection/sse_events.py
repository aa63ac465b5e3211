"""Server-sent events with their bytes, for passing a stream on with some events changed."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from aibridged.wire.sse import CR, MAX_EVENT_BYTES, Event, SseSplitter

_BLANK_LINES = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)+")
_PART_OF_BLANK_LINE = 3  # bytes that may belong to one that has come in part


class RawEvent(NamedTuple):
    """Bytes of a stream, and the event that ends with them, if one does: a comment is none.

    `is_whole` says that these are all its bytes: the first ones of a very long event have passed.
    """

    raw: bytes
    event: Event | None
    is_whole: bool = True


class RawEvents:
    """Turns the bytes of one stream into its events, each with the bytes that it is made of.

    The bytes of all that is given out, joined, are those of the stream. Those of an event that is
    too long to be held are given out as they come, with None, and its end with the event (see
    `sse`). `is_between_events` says that the next chunk begins with an event.
    """

    def __init__(self, splitter: SseSplitter) -> None:
        self.is_between_events = False
        self._held = bytearray()  # the beginning of an event
        self._scanned = 0  # how much of it is known to hold no blank line
        self._is_long = False  # the beginning of the event that is held has passed
        self._splitter = splitter

    def feed(self, chunk: bytes) -> Sequence[RawEvent]:
        """What ends within `chunk`, in order."""
        stream = chunk
        if self._held:
            self._held += chunk
            stream = self._take() if _BLANK_LINES.search(self._held, self._scanned) else b""
        found = [self._read(raw) for raw in self._cut(stream)] if stream else []
        self._scanned = max(0, len(self._held) - _PART_OF_BLANK_LINE)
        if len(self._held) > MAX_EVENT_BYTES:
            found.append(RawEvent(self._pass_on(), None))
        self.is_between_events = not self._held and self._splitter.is_between_events
        return found

    def _cut(self, stream: bytes) -> Sequence[bytes]:
        """The events that end in it, each with the blank lines behind it; the rest is held."""
        if CR not in stream and b"\n\n\n" not in stream:
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
        if not held and not self._is_long:
            return ()
        events = [*self._splitter.feed(held), *self._splitter.flush()]
        return (RawEvent(held, events[0] if events else None, not self._is_long),)

    def _pass_on(self) -> bytes:
        """The beginning of a long event, but for a line end that may be half of its end."""
        self._is_long = True
        held = self._take()
        rest = held[len(held.rstrip(b"\r\n")) :]
        self._held += rest
        passed = held[: len(held) - len(rest)]
        self._splitter.feed(passed)
        return passed

    def _read(self, raw: bytes) -> RawEvent:
        events = self._splitter.feed(raw)
        is_whole, self._is_long = not self._is_long, False
        return RawEvent(raw, events[0] if events else None, is_whole)


def sse(name: bytes, data: bytes) -> bytes:
    """An event in the usual shape; one without a name has data only."""
    lines = b"data: %b\n\n" % data.replace(b"\n", b"\ndata: ")
    return b"event: %b\n%b" % (name, lines) if name else lines
