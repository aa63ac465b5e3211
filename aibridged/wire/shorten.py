"""Shortens JSON that arrives in chunks, by leaving out long strings.

The longest responses contain images and sound, in Base64: without these they are as short as any,
and still have all their facts.
"""

import re

MAX_STRING = 64 * 1024
"""Bytes of a string; only the quotes are kept of a longer one."""

_SHORT = 512  # bytes, up to which strings are passed over many at a time
# Whatever stands between long strings, and short strings; it stops before a quote.
_passed_over = re.compile(
    rb'(?:[^"]++|"[^"\\]{0,%d}+(?:\\.[^"\\]{0,%d}+){0,64}+")*+' % (_SHORT, _SHORT), re.DOTALL
).match
# A string from its quote on, as far as it goes: up to its end, or to a backslash at the very end.
_string = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL).match


class Shortener:
    """Shortens one JSON text; `feed` gives what is kept of the next piece of it."""

    def __init__(self) -> None:
        self._held = b""  # a string that has begun, or the backslash at the end of what is left out
        self._leaves_out = False

    def feed(self, piece: bytes) -> bytes:
        """What is kept, up to a string that hasn't ended yet and may become too long."""
        source = self._held + piece
        kept = []
        at = 0
        while at < len(source):
            if not self._leaves_out:
                start = at
                at = self._skip_short(source, at)
                kept.append(source[start:at])
                if at == len(source):
                    break
                end = self._end_of_string(source, at + 1)
                if end is not None and end - at <= MAX_STRING:
                    kept.append(source[at:end])
                    at = end
                    continue
                if len(source) - at <= MAX_STRING:
                    break
                kept.append(b'"')
                self._leaves_out = True
                at += 1
            end = self._end_of_string(source, at)
            if end is None:
                at = len(source) - self._unfinished
                break
            kept.append(b'"')
            self._leaves_out = False
            at = end
        self._held = source[at:]
        return b"".join(kept)

    def finish(self) -> bytes:
        """The part of an unterminated string that was held back."""
        held, self._held = self._held, b""
        return held

    @staticmethod
    def _skip_short(source: bytes, at: int) -> int:
        found = _passed_over(source, at)
        assert found is not None, "it may be empty"
        return found.end()

    def _end_of_string(self, source: bytes, at: int) -> int | None:
        """Behind the quote that ends the string; None where it isn't there yet."""
        found = _string(source, at)
        assert found is not None, "it may be empty"
        end = found.end()
        self._unfinished = len(source) - end  # a backslash, whose other half comes
        return end + 1 if source[end : end + 1] == b'"' else None


def shortened(source: bytes) -> bytes:
    """A whole JSON text without the middle of its long strings."""
    shortener = Shortener()
    return shortener.feed(source) + shortener.finish()


class Kept:
    """A JSON text that comes in pieces: whole up to `most` bytes, and beyond without long strings.

    `fresh` is what comes, for the owner to add to. `is_oversized` says that it is too long even so:
    then its end alone is kept.
    """

    def __init__(self, most: int) -> None:
        self.fresh = bytearray()
        self.is_short = False
        self.is_oversized = False
        self._most = most
        self._shortener: Shortener | None = None
        self._short = bytearray()
        self._seen = 0  # how much of `fresh` has been shortened

    def bound(self, length: int) -> None:
        """Keep less than the first so many bytes of `fresh`, if they are too many.

        A lot at a time: a string that goes on is looked at from its beginning.
        """
        if length > self._most:
            self.is_short = True
        is_lot = length - self._seen >= _LOT or self.is_oversized
        if is_lot and (self.is_short or length > _LONG):
            self._shorten(length)
        if is_lot and self.is_short:
            del self.fresh[:length]
            self._seen = 0

    def keep_the_end(self) -> None:
        """Keep no more than the end, from now on."""
        self.is_short = self.is_oversized = True
        self.bound(len(self.fresh))

    def text(self, end: int) -> bytes:
        """All of it, up to this place in `fresh`."""
        if not self.is_short:
            return bytes(self.fresh[:end])
        self._shorten(end)
        return bytes(self._short) + self._shorten_no_more()

    def _shorten(self, end: int) -> None:
        shortener = self._shortener = self._shortener or Shortener()
        self._short += shortener.feed(bytes(self.fresh[self._seen : end]))
        self._seen = end
        if self.is_short and len(self._short) > self._most:
            self.is_oversized = True
        if self.is_oversized:
            del self._short[:-_END]

    def _shorten_no_more(self) -> bytes:
        return b"" if self._shortener is None else self._shortener.finish()


_LONG = 256 * 1024  # bytes; what is longer is shortened as it comes, for the case that it must be
_END = 64 * 1024  # bytes
_LOT = 64 * 1024  # bytes that are shortened at once
