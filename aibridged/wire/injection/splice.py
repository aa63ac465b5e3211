"""Changes a JSON object in places: every byte outside of them stays as it was.

A request is not decoded and encoded again, since that would change what nobody asked to be changed:
white space, the spelling of numbers, the order of keys, and with them a provider's prompt cache.
"""

import re
from typing import NamedTuple

import msgspec

from aibridged.wire.gathering import UNREADABLE

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_key = msgspec.json.Decoder(str).decode

_SPACE = rb"[ \t\n\r]*"
_OPENING = re.compile(_SPACE + rb"\{" + _SPACE)
_KEY = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")' + _SPACE + b":" + _SPACE, re.DOTALL)
_GAP = re.compile(_SPACE + b"(?:," + _SPACE + b")?")
_CLOSING = re.compile(rb"\}" + _SPACE)
_EMPTY_ARRAY = re.compile(rb"\[" + _SPACE + rb"\]")


class UnsplittableError(ValueError):
    """Bytes that aren't one JSON object, or name a key twice."""


class Edit(NamedTuple):
    """Bytes to stand in place of those from `start` to `end`, which are none for an insertion."""

    start: int
    end: int
    text: bytes


class Fields:
    """The values of a JSON object, and where they stand in its bytes.

    Raises UnsplittableError.
    """

    __slots__ = ("_body", "_ends", "_raw", "_source", "_starts")

    def __init__(self, source: bytes) -> None:
        try:
            found = _decode(source)
        except UNREADABLE:
            raise UnsplittableError("no JSON object") from None
        self._source = source
        self._raw = {name: bytes(raw) for name, raw in found.items()}
        self._starts: dict[str, int] = {}
        opening = _OPENING.match(source)
        assert opening is not None, "it has been decoded"
        self._body = source.index(b"{") + 1
        self._locate(opening.end())

    def _locate(self, at: int) -> None:
        """Walk over keys and values; the decoder, which keeps the last of two, tells the values."""
        source = self._source
        while key := _KEY.match(source, at):
            name = _decode_key(key[1])
            if name in self._starts or not source.startswith(self._raw[name], key.end()):
                raise UnsplittableError("a key comes twice")
            self._starts[name] = key.end()
            gap = _GAP.match(source, key.end() + len(self._raw[name]))
            assert gap is not None, "it may be empty"
            at = gap.end()
        if not _CLOSING.fullmatch(source, at):
            raise UnsplittableError("no JSON object")

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def raw(self, name: str) -> bytes | None:
        """The value as it stands there; None where the field is missing or null."""
        value = self._raw.get(name)
        return None if value == b"null" else value

    def span(self, name: str) -> tuple[int, int]:
        """Where the value begins and ends."""
        start = self._starts[name]
        return start, start + len(self._raw[name])

    def put(self, name: str, value: bytes) -> Edit:
        """`value` in place of the field's, or as the first field."""
        if name in self._raw:
            return Edit(*self.span(name), value)
        comma = b"," if self._raw else b""
        return Edit(self._body, self._body, b'"%b":%b%b' % (name.encode(), value, comma))

    def prepend(self, name: str, items: bytes) -> Edit:
        """`items`, which are joined by commas already, as the first of the field's array."""
        array = self.raw(name)
        if array is None:
            return self.put(name, b"[%b]" % items)
        comma = b"" if _EMPTY_ARRAY.fullmatch(array) else b","
        at = self._starts[name] + 1
        return Edit(at, at, items + comma)

    def edited(self, *edits: Edit) -> bytes:
        """The object with these edits, which don't overlap."""
        pieces: list[bytes] = []
        at = 0
        for edit in sorted(edits, key=lambda edit: edit.start):
            pieces += (self._source[at : edit.start], edit.text)
            at = edit.end
        pieces.append(self._source[at:])
        return b"".join(pieces)


def is_empty_array(raw: bytes) -> bool:
    """Whether a JSON array has no items."""
    return _EMPTY_ARRAY.fullmatch(raw) is not None
