"""Server-sent events out of chunks that are cut anywhere.

Follows the WHATWG HTML standard's "event stream interpretation", with two differences that suit a
reader which must lose nothing: an event at the very end is given out though its blank line is
missing, and the fields `id` and `retry` are of no interest.
"""

import re
from collections.abc import Sequence

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""A longer event is skipped. The longest real ones restate a whole response with its tools."""
MAX_EVENT_LINES = 10_000
"""One with more lines is skipped, too. Real ones have one line of data, or a printed object."""

_BOM = b"\xef\xbb\xbf"
_FEW_BYTES = 16  # an event has more on average, unless there are none between blank lines
_BLANK_LINES = re.compile(rb"\n{3,}")
_LF, _CR = b"\n\r"  # as numbers: looking for one byte so costs a sixth

Event = tuple[bytes, bytes]
"""The name (empty where there is none) and the data, its lines joined by a newline."""


class SseSplitter:
    """Turns the bytes of one stream into its events; `oversized` counts those that were skipped."""

    __slots__ = ("_after_cr", "_at_start", "_buffer", "_max", "_scanned", "_skipping", "oversized")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.oversized = 0
        self._max = max_event_bytes
        self._buffer = bytearray()  # an event that hasn't ended yet
        self._scanned = 0  # how much of the buffer is known to hold no blank line
        self._skipping = False  # the buffer's event is too long and its beginning is gone
        self._after_cr = False
        self._at_start = True

    @property
    def is_between_events(self) -> bool:
        """Whether the next chunk begins with an event."""
        return not (self._buffer or self._after_cr or self._skipping or self._at_start)

    def feed(self, chunk: bytes) -> Sequence[Event]:
        """The events that end within `chunk`, in order."""
        if _CR in chunk or self._after_cr:
            chunk = self._with_newlines(chunk)
        if self._buffer or self._at_start or self._skipping:
            chunk = self._joined(chunk)
        if chunk.startswith(b"\n"):  # a blank line before an event ends nothing
            chunk = chunk.lstrip(b"\n")
        *blocks, rest = chunk.split(b"\n\n")
        if len(blocks) > len(chunk) // _FEW_BYTES and b"\n\n\n" in chunk:
            *blocks, rest = _BLANK_LINES.sub(b"\n\n", chunk).split(b"\n\n")
        if rest:
            self._keep(rest.lstrip(b"\n"))
        return self._events(blocks) if blocks else ()

    def flush(self) -> Sequence[Event]:
        """The event at the end of the stream whose blank line is missing, if there is one."""
        if self._skipping:
            return ()
        block = bytes(self._buffer)
        self._buffer.clear()
        return self._events([block])

    def _joined(self, chunk: bytes) -> bytes:
        """What was kept with `chunk` behind it, if an event ends there; else empty."""
        buffer = self._buffer
        buffer += chunk
        if self._at_start and (len(buffer) >= len(_BOM) or not _BOM.startswith(bytes(buffer))):
            self._at_start = False
            if buffer.startswith(_BOM):
                del buffer[: len(_BOM)]
            buffer[:] = buffer.lstrip(b"\n")
        if buffer.find(b"\n\n", self._scanned) < 0:
            self._bound()
            return b""
        whole = bytes(buffer)
        buffer.clear()
        self._scanned = 0
        if self._skipping:
            self._skipping = False
            whole = whole[whole.find(b"\n\n") + 2 :]
        return whole

    def _keep(self, rest: bytes) -> None:
        self._buffer += rest
        self._bound()

    def _bound(self) -> None:
        """Forget an event that has grown too long, but for what its end is known by."""
        buffer = self._buffer
        length = len(buffer) - buffer.endswith(b"\n")  # the newline may be half of the end
        if length > self._max and not self._skipping:
            self.oversized += 1
            self._skipping = True
        if self._skipping:
            del buffer[:length]
        self._scanned = max(0, len(buffer) - 1)

    def _with_newlines(self, chunk: bytes) -> bytes:
        """`chunk` with every CRLF and CR turned into LF, also a CRLF that the cut has parted."""
        if not chunk:
            return chunk
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
            if _CR not in chunk:
                return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, blocks: list[bytes]) -> list[Event]:
        events = []
        for block in blocks:
            if len(block) > self._max and len(block.lstrip(b"\n")) > self._max:
                self.oversized += 1
                continue
            # The usual two shapes, one line of data with or without a name, in a few searches.
            name, _, data = block.partition(b"\ndata: ")
            if data:
                if name.startswith(b"event: ") and _LF not in data and _LF not in name:
                    events.append((name[7:], data))
                    continue
            elif name.startswith(b"data: ") and _LF not in name:
                events.append((b"", name[6:]))
                continue
            if b"data" not in block:
                continue
            if block.count(b"\n") >= MAX_EVENT_LINES:
                self.oversized += 1
                continue
            event = _parse(block)
            if event is not None:
                events.append(event)
        return events


def _parse(block: bytes) -> Event | None:
    """The event of any lines at all, or None where no line holds data."""
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return (name, b"\n".join(data)) if data else None
