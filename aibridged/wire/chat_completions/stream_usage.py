"""The usage of a Chat Completions stream that the caller didn't ask for.

OpenAI tells the usage of a stream only where `stream_options.include_usage` is set, in one extra
chunk at the end. The gateway asks for it, for the record, and withholds that chunk from a caller
who didn't: some clients take a chunk without choices for an error.
"""

import re
from typing import Any

import msgspec

from aibridged.wire.collector import UNREADABLE
from aibridged.wire.splice import Fields, UnsplittableError

MAX_HELD = 16 * 1024
"""A longer event is passed on as it comes: the usage chunk has a few hundred bytes."""

_MARK = b"prompt_tokens"  # what the chunk holds that others don't
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_BLANK = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r")
"""One of them is in every blank line; a line end that is left over begins the next event."""
_PART_OF_BLANK_LINE = 3  # bytes that may belong to one that has come in part
_DATA = re.compile(rb"^data: ?(.*)$", re.MULTILINE)


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: dict[str, Any] | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def with_usage(body: bytes) -> bytes:
    """A request that has fields, but no `stream_options`, with one that asks for usage."""
    start = body.index(b"{") + 1
    return b'%b"stream_options":{"include_usage":true},%b' % (body[:start], body[start:])


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


class UsageWithholder:
    """Passes a stream on byte for byte, but for the usage chunk.

    An event is passed on when it is whole, which no client can tell from its coming in parts.
    """

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of an event
        self._scanned = 0  # how much of it is known to hold no blank line

    def feed(self, chunk: bytes) -> bytes:
        """What is to be passed on now."""
        held = self._held
        if not held and _MARK not in chunk and chunk.endswith(b"\n\n"):
            return chunk
        held += chunk
        if _BLANK_LINE.search(held, self._scanned) is None:
            self._scanned = max(0, len(held) - _PART_OF_BLANK_LINE)
            return self.finish() if len(held) > MAX_HELD else b""
        stream = self.finish()
        passed, rest = _parted(stream)
        held += rest
        return passed + self.finish() if len(held) > MAX_HELD else passed

    def finish(self) -> bytes:
        """What was held back at the end of the stream: the beginning of an event, or nothing."""
        held = bytes(self._held)
        self._held.clear()
        self._scanned = 0
        return held


def _parted(stream: bytes) -> tuple[bytes, bytes]:
    """The events that are whole, without the usage chunk, and the beginning of another."""
    if _MARK not in stream:
        end = max(stream.rfind(blank) + len(blank) for blank in _BLANK if blank in stream)
        return stream[:end], stream[end:]
    passed: list[bytes] = []
    start = 0
    for blank in _BLANK_LINE.finditer(stream):
        event = stream[start : blank.end()]
        start = blank.end()
        if not _is_usage_chunk(event):
            passed.append(event)
    return b"".join(passed), stream[start:]


def _is_usage_chunk(event: bytes) -> bool:
    if _MARK not in event:
        return False
    data = b"\n".join(_DATA.findall(event.replace(b"\r", b"\n")))
    try:
        chunk = _decode_chunk(data)
    except UNREADABLE:
        return False
    return chunk.choices == [] and chunk.usage is not None
