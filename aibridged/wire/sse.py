"""Server-sent events parser, for chunks with arbitrary boundaries.

Follows the WHATWG HTML standard's "event stream interpretation", with two differences, since
nothing may be lost: an event at the very end counts even without its blank line, and the fields
`id` and `retry` are ignored.
"""

import re
from collections.abc import Sequence

from aibridged.wire.bounds import SMALL
from aibridged.wire.shorten import Kept, shortened

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""A longer event is read without its long strings, and skipped if it is too long even so. The
longest ones restate a whole response, with its tools, and with the images that were made."""
MAX_EVENT_LINES = 10_000
"""One with more lines is skipped, too. Real ones have one line of data, or a printed object."""

_BOM = b"\xef\xbb\xbf"
_LOT = 64 * 1024  # bytes; the memory of a longer event isn't kept for the next one
BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
"""What ends an event: a line without anything, after the end of another."""
_FEW_BYTES = 16  # an event has more on average, unless there are none between blank lines
_BLANK_LINES = re.compile(rb"\n{3,}")
LF, CR = b"\n\r"  # as numbers: looking for one byte so costs a sixth

Event = tuple[bytes, bytes]
"""The name (empty where there is none) and the data, its lines joined by a newline."""


def lone(chunk: bytes) -> Event | None:
    """The event that a chunk is: nearly all are one, whole, small and in the usual shape.

    None for all others, which a splitter reads; it would find the same event.
    """
    if not chunk.endswith(b"\n\n") or len(chunk) > SMALL or CR in chunk:
        return None
    if chunk.startswith(b"data: "):
        data = chunk[6:-2]
        return None if LF in data else (b"", data)
    if chunk.startswith(b"event: "):
        name, _, data = chunk[7:-2].partition(b"\ndata: ")
        if data and LF not in data and LF not in name:
            return name, data
    return None


class SseSplitter:
    """Splits the bytes of one stream into events.

    `oversized` counts those that were skipped, `shortened` those with strings that were left out.
    `is_between_events` says that the next chunk begins with an event.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_kept",
        "_max",
        "_scanned",
        "is_between_events",
        "oversized",
        "shortened",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.oversized = 0
        self.shortened = 0
        self.is_between_events = False
        self._max = max_event_bytes
        self._kept = Kept(max_event_bytes)  # an event that hasn't ended yet
        self._scanned = 0  # how much of its fresh part is known to hold no blank line
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> Sequence[Event]:
        """The events that end within `chunk`, in order."""
        if CR in chunk or self._after_cr:
            chunk = self._with_newlines(chunk)
        if not self.is_between_events:
            chunk = self._joined(chunk)
        if chunk.startswith(b"\n"):  # a blank line before an event ends nothing
            chunk = chunk.lstrip(b"\n")
        *blocks, rest = chunk.split(b"\n\n")
        if len(blocks) > len(chunk) // _FEW_BYTES and b"\n\n\n" in chunk:
            *blocks, rest = _BLANK_LINES.sub(b"\n\n", chunk).split(b"\n\n")
        if rest := rest.lstrip(b"\n"):
            self._kept.fresh += rest
            self._bound()
        kept = self._kept
        self.is_between_events = not (
            kept.fresh or kept.is_short or self._after_cr or self._at_start
        )
        return self._events(blocks) if blocks else ()

    @property
    def is_within_event(self) -> bool:
        """Whether an event, or a comment, has begun and not ended."""
        return bool(self._kept.fresh) or self._kept.is_short

    def rest_of_event(self, chunk: bytes) -> int | None:
        """How many bytes of `chunk` belong to the event that has begun; None: all, and more."""
        before = b"\r" if self._after_cr else b"\n" if self._kept.fresh.endswith(b"\n") else b""
        blank = BLANK_LINE.search(before + chunk)
        return None if blank is None else blank.end() - len(before)

    def flush(self) -> Sequence[Event]:
        """The event at the end of the stream whose blank line is missing, if there is one."""
        block = self._ended(len(self._kept.fresh))
        return () if block is None else self._events([block])

    def _joined(self, chunk: bytes) -> bytes:
        """What was kept with `chunk` behind it, if an event ends there; else empty."""
        fresh = self._kept.fresh
        fresh += chunk
        if self._at_start and (len(fresh) >= len(_BOM) or not _BOM.startswith(bytes(fresh))):
            self._at_start = False
            if fresh.startswith(_BOM):
                del fresh[: len(_BOM)]
            fresh[:] = fresh.lstrip(b"\n")
        end = fresh.find(b"\n\n", self._scanned)
        if end < 0:
            self._bound()
            return b""
        rest = bytes(fresh[end:])
        block = self._ended(end)
        return rest if block is None else block + rest

    def _bound(self) -> None:
        """Keep less of an event that has grown long, and nothing if it is too long even so."""
        fresh = self._kept.fresh
        self._kept.bound(len(fresh) - fresh.endswith(b"\n"))  # that may be half of its end
        self._scanned = max(0, len(fresh) - 1)

    def _ended(self, end: int) -> bytes | None:
        """The event that is kept and ends there; None for one that is too long."""
        kept = self._kept
        block = kept.text(end)
        if kept.is_short or len(kept.fresh) > _LOT:
            self._kept = Kept(self._max)
        else:
            kept.fresh.clear()
        self._scanned = 0
        if kept.is_oversized or len(block) > self._max:
            self.oversized += 1
            return None
        self.shortened += kept.is_short
        return block

    def _with_newlines(self, chunk: bytes) -> bytes:
        """`chunk` with every CRLF and CR turned into LF, also a CRLF that the cut has parted."""
        if not chunk:
            return chunk
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
            if CR not in chunk:
                return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, blocks: list[bytes]) -> list[Event]:
        events = []
        for block in blocks:
            if len(block) > self._max and len(block.lstrip(b"\n")) > self._max:
                block = shortened(block)
                self.shortened += 1
                if len(block) > self._max:
                    self.oversized += 1
                    continue
            # The usual two shapes, one line of data with or without a name, in a few searches.
            name, _, data = block.partition(b"\ndata: ")
            if data:
                if name.startswith(b"event: ") and LF not in data and LF not in name:
                    events.append((name[7:], data))
                    continue
            elif name.startswith(b"data: ") and LF not in name:
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
