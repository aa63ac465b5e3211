"""Edits a JSON object in place: every byte outside of the edits stays as it was.

A request isn't decoded and encoded again, since that would change more than necessary: white space,
the spelling of numbers, the order of keys, and with them a provider's prompt cache.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from aibridged.wire.bounds import UNREADABLE
from aibridged.wire.outline import MAX_MEMBERS, Members, Span

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_key = msgspec.json.Decoder(str).decode

_SPACE = rb"[ \t\n\r]*"
_OPENING = re.compile(_SPACE + rb"\{" + _SPACE)
_KEY = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")' + _SPACE + b":" + _SPACE, re.DOTALL)
_GAP = re.compile(_SPACE + b"(?:," + _SPACE + b")?")
_CLOSING = re.compile(rb"\}" + _SPACE)
_EMPTY_ARRAY = re.compile(rb"\[" + _SPACE + rb"\]")


class UnsplittableError(ValueError):
    """Bytes that aren't one JSON object, or have a duplicate key."""


class Edit(NamedTuple):
    """Bytes that replace those from `start` to `end`, or are inserted where both are equal.

    `field` is the name of a field that is inserted with its value, which is at `value` then.
    """

    start: int
    end: int
    text: bytes
    field: str | None = None
    value: Span = Span(0, 0)


class Fields:
    """The values of a JSON object, and their positions in its bytes.

    `spans` are the positions where they are known already, which saves a search. Raises
    UnsplittableError.
    """

    __slots__ = ("_body", "source", "spans")

    def __init__(self, source: bytes, spans: Mapping[str, Span] | None = None) -> None:
        if isinstance(spans, Members) and spans.repeated:
            raise UnsplittableError("a key comes twice")
        self.source = source
        self.spans = _located(source) if spans is None else spans
        self._body = source.index(b"{") + 1

    def __contains__(self, name: str) -> bool:
        return name in self.spans

    def raw(self, name: str) -> bytes | None:
        """The value as it is in the bytes; None where the field is missing or null."""
        if name not in self.spans or self.starts(name, b"null"):
            return None
        span = self.spans[name]
        return self.source[span.start : span.end]

    def starts(self, name: str, beginning: bytes | tuple[bytes, ...]) -> bool:
        """Whether there is a value that starts like this."""
        span = self.spans.get(name)
        return span is not None and self.source.startswith(beginning, span.start)

    def put(self, name: str, value: bytes) -> Edit:
        """Replace the field's value by `value`, or insert it as the first field."""
        if name in self.spans:
            return Edit(*self.spans[name], value)
        key = b'"%b":' % name.encode()
        comma = b"," if self.spans else b""
        place = Span(len(key), len(key) + len(value))
        return Edit(self._body, self._body, b"".join((key, value, comma)), name, place)

    def prepend(self, name: str, items: bytes) -> Edit:
        """Insert `items`, which are joined by commas already, at the start of the field's array."""
        if self.raw(name) is None:
            return self.put(name, b"[%b]" % items)
        start, end = self.spans[name]
        comma = b"" if is_empty_array(self.source, start, end) else b","
        return Edit(start + 1, start + 1, items + comma)

    def edited(self, *edits: Edit) -> bytes:
        """The object with these edits, which don't overlap."""
        return self.edit(*edits).source

    def edit(self, *edits: Edit) -> "Fields":
        """The same as `edited`, with its fields."""
        ordered = sorted(edits, key=lambda edit: edit.start)
        pieces: list[bytes | memoryview] = []
        source = memoryview(self.source)
        at = length = 0
        inserted: dict[str, Span] = {}
        for edit in ordered:
            pieces += (source[at : edit.start], edit.text)
            length += edit.start - at
            if edit.field is not None:
                inserted[edit.field] = Span(length + edit.value.start, length + edit.value.end)
            length += len(edit.text)
            at = edit.end
        pieces.append(source[at:])
        spans = {name: _moved(span, ordered) for name, span in self.spans.items()}
        return Fields(b"".join(pieces), {**spans, **inserted})


class Growing:
    """A request whose array `field` grows at its end, while all else stays unchanged."""

    def __init__(self, request: Fields, field: str) -> None:
        start, end = request.spans[field]
        body = memoryview(request.source)
        self._before = body[: end - 1]
        self._after = body[end - 1 :]
        self._added: list[bytes] = []
        self._comma = b"" if is_empty_array(request.source, start, end) else b","

    def append(self, items: Sequence[bytes]) -> bytes:
        """The request with additional items, each of them JSON."""
        self._added += items
        return b"".join((self._before, self._comma, b",".join(self._added), self._after))


def _moved(span: Span, edits: list[Edit]) -> Span:
    """The position of a value after these edits."""
    start, end = span
    for edit in edits:
        grown = len(edit.text) - (edit.end - edit.start)
        if edit.end <= span.start:
            start += grown
        if edit.end <= span.end:
            end += grown
    return Span(start, end)


def _located(source: bytes) -> Members:
    """The positions of the values, found by their lengths; the decoder keeps the last duplicate."""
    try:
        found = _decode(source)
    except UNREADABLE:
        raise UnsplittableError("no JSON object") from None
    if len(found) > MAX_MEMBERS:
        raise UnsplittableError("too many fields")
    spans = Members()
    opening = _OPENING.match(source)
    assert opening is not None, "it has been decoded"
    at = opening.end()
    while key := _KEY.match(source, at):
        name = _decode_key(key[1])
        value = bytes(found[name])
        if name in spans or not source.startswith(value, key.end()):
            raise UnsplittableError("a key comes twice")
        spans[name] = Span(key.end(), key.end() + len(value))
        gap = _GAP.match(source, spans[name].end)
        assert gap is not None, "it may be empty"
        at = gap.end()
    if not _CLOSING.fullmatch(source, at):
        raise UnsplittableError("no JSON object")
    return spans


def is_empty_array(source: bytes, start: int, end: int) -> bool:
    """Whether the JSON array at a position has no items."""
    return _EMPTY_ARRAY.fullmatch(source, start, end) is not None
