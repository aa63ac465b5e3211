"""The usage of a Chat Completions stream that the caller didn't ask for.

OpenAI tells the usage of a stream only where `stream_options.include_usage` is set, in one extra
chunk at the end. The gateway asks for it, for the record, and withholds that chunk from a caller
who didn't: some clients take a chunk without choices for an error.
"""

import json
import re
from typing import NamedTuple

from aibridged.wire.splice import Fields, UnsplittableError
from aibridged.wire.sse import BLANK_LINE

MAX_HELD = 16 * 1024
"""A longer event is passed on as it comes: the usage chunk has a few hundred bytes."""

# What the chunk holds that others don't: in those, OpenAI sends null.
_MARK = re.compile(rb'"usage"\s*:\s*[^n\s]')
_KEY = b'"stream_options":'
_BLANK = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r")
"""One of them is in every blank line; a line end that is left over begins the next event."""
_PART_OF_BLANK_LINE = 3  # bytes that may belong to one that has come in part
_DATA = re.compile(rb"^data: ?(.*)$", re.MULTILINE)


def with_usage(body: bytes) -> bytes:
    """A request that has fields, but no `stream_options`, with one that asks for usage."""
    start = body.index(b"{") + 1
    return b'%b%b{"include_usage":true},%b' % (body[:start], _KEY, body[start:])


def ask_for_usage(fields: Fields) -> Fields:
    """Any request with `stream_options.include_usage` on; every other byte stays as it is.

    One whose `stream_options` isn't an object is given back as it came: the provider will refuse
    it.
    """
    options = fields.raw("stream_options")
    if options is None:
        asked = b'{"include_usage":true}'
    else:
        try:
            inner = Fields(options)
        except UnsplittableError:
            return fields
        asked = inner.edited(inner.put("include_usage", b"true"))
    return fields.edit(fields.put("stream_options", asked))


class Unasking(NamedTuple):
    """What takes `ask_for_usage` or `with_usage` back: `text` replaces `start` to `end`.

    In the requests of later turns these lie as far from the beginning, or from the end where they
    come behind the messages, which grow. `length` is that of the first request then.
    """

    start: int
    end: int
    text: bytes
    length: int | None

    @classmethod
    def of(cls, asked: Fields, given: bytes | None) -> "Unasking":
        """For a request that asks; `given` was the value of `stream_options`, None: there was none.

        Raises:
            KeyError: it doesn't ask.
        """
        start, end = asked.spans["stream_options"]
        messages = asked.spans.get("messages")
        length = len(asked.source) if messages is not None and messages.start < start else None
        if given is not None:
            return cls(start, end, given, length)
        comma = asked.source.startswith(b",", end)
        return cls(start - len(_KEY), end + comma, b"", length)

    def __call__(self, body: bytes) -> bytes:
        """The body of a turn, as if the usage had never been asked for."""
        moved = 0 if self.length is None else len(body) - self.length
        view = memoryview(body)
        return b"".join((view[: self.start + moved], self.text, view[self.end + moved :]))


class UsageWithholder:
    """Passes a stream on byte for byte, but for the usage chunk.

    An event is passed on when it is whole, which no client can tell from its coming in parts.
    """

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of an event
        self._scanned = 0  # how much of it is known to hold no blank line
        # Whether the event before was passed on, of whose last CRLF the LF may still come.
        self._passed_before_lf: bool | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What is to be passed on now."""
        if self._passed_before_lf is not None and chunk:
            return self._after_cr(chunk)
        held = self._held
        if not held and chunk.endswith(b"\n\n") and _MARK.search(chunk) is None:
            return chunk
        held += chunk
        if BLANK_LINE.search(held, self._scanned) is None:
            self._scanned = max(0, len(held) - _PART_OF_BLANK_LINE)
            return self.finish() if len(held) > MAX_HELD else b""
        stream = self.finish()
        passed, rest, last_passed = _parted(stream)
        if not rest and stream.endswith(b"\r"):
            self._passed_before_lf = last_passed
        held += rest
        return passed + self.finish() if len(held) > MAX_HELD else passed

    def finish(self) -> bytes:
        """What was held back at the end of the stream: the beginning of an event, or nothing."""
        held = bytes(self._held)
        self._held.clear()
        self._scanned = 0
        return held

    def _after_cr(self, chunk: bytes) -> bytes:
        """`feed`, after an event that ended with a CR at the end of what had come."""
        passed, self._passed_before_lf = self._passed_before_lf, None
        if not chunk.startswith(b"\n"):
            return self.feed(chunk)
        line_feed = b"\n" if passed else b""
        return line_feed + self.feed(chunk[1:]) if len(chunk) > 1 else line_feed


def _parted(stream: bytes) -> tuple[bytes, bytes, bool]:
    """The events that are whole, without the usage chunk; the beginning of another; whether the
    last of the whole ones is among them."""
    if _MARK.search(stream) is None:
        end = max(stream.rfind(blank) + len(blank) for blank in _BLANK if blank in stream)
        return stream[:end], stream[end:], True
    passed: list[bytes] = []
    start, is_usage = 0, False
    for blank in BLANK_LINE.finditer(stream):
        event = stream[start : blank.end()]
        start = blank.end()
        is_usage = _is_usage_chunk(event)
        if not is_usage:
            passed.append(event)
    return b"".join(passed), stream[start:], not is_usage


def _is_usage_chunk(event: bytes) -> bool:
    """Whether it tells usage, in whatever shape, and nothing else that a client waits for."""
    if _MARK.search(event) is None:
        return False
    data = b"\n".join(_DATA.findall(event.replace(b"\r", b"\n")))
    try:
        # Not msgspec, which refuses the NaN of some providers.
        chunk = json.loads(data.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(chunk, dict)
        and chunk.get("usage") is not None
        and not chunk.get("choices")
        and not chunk.get("error")
    )
