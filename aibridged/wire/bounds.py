"""Bounds on the decoding of a provider's JSON: its objects are counted beforehand.

Every element of a list but the first has a comma before it, and every list or object within another
a bracket; counting these takes a hundredth of the time of making an object for each. Strings
contain them, too, so that a long response may count as crowded: then its lists are left out, and
its id, model and usage are still read.
"""

from typing import Any

import msgspec

SLICE = 16 * 1024
"""Bytes that are read at once: a few milliseconds, whatever they contain."""

SMALL = 32 * 1024
"""JSON of at most so many bytes is decoded whatever it contains."""
MAX_ELEMENTS = 32 * 1024
"""JSON with more commas, or opening brackets, is decoded without its lists."""
MAX_CROWD = 256 * 1024
"""JSON with more of them isn't decoded at all."""
MAX_VALUE = 64 * 1024
"""Bytes of a value of any shape, such as usage and errors."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises at bytes that aren't the JSON, or not of the shape, that was expected."""

ABSENT = msgspec.Raw(b"")
"""The default of a raw field."""

_NULL = msgspec.Raw(b"null")
_NO_TEXT = msgspec.Raw(b'""')
_SHORTEST = len(_NULL)
_SHORT = 8
_NOTHING = frozenset({b"", b"null", b"false", b"0", b'""', b"{}", b"[]"})

_decode_counts = msgspec.json.Decoder(dict[str, Any]).decode
_decode_value = msgspec.json.Decoder().decode


class CrowdedError(msgspec.DecodeError):
    """A value that would be decoded to too many objects."""


def elements(json: bytes) -> int:
    """About how many elements there are, of one list or one within another: rather more than less.

    Twice as many objects may have to be made, and no more.
    """
    return max(json.count(b","), json.count(b"[") + json.count(b"{"))


def has_more_elements(json: bytes | bytearray | msgspec.Raw, most: int) -> bool:
    """Whether there are more than `most` elements; those of small JSON aren't counted."""
    return len(json) > SMALL and elements(bytes(json)) > most


def is_given(raw: msgspec.Raw) -> bool:
    """Whether a field is there, and isn't null."""
    return raw is not ABSENT and len(raw) > 0 and raw != _NULL


def is_nothing(raw: msgspec.Raw) -> bool:
    """Whether a field is missing, or holds what servers write for nothing."""
    if raw is ABSENT:
        return True
    return len(raw) <= _SHORT and bytes(raw).translate(None, b" \t\r\n") in _NOTHING


def is_empty(raw: msgspec.Raw) -> bool:
    """Whether a field is missing, null, or an empty text."""
    return len(raw) <= _SHORTEST and (not is_given(raw) or raw == _NO_TEXT)


def counts(raw: msgspec.Raw) -> dict[str, Any] | None:
    """A usage object; None where it is null or missing.

    Raises:
        msgspec.DecodeError: it isn't an object, or is too long.
    """
    if not is_given(raw):
        return None
    if len(raw) > MAX_VALUE:
        raise CrowdedError
    return _decode_counts(raw)


def value(raw: msgspec.Raw) -> Any:
    """A field's value of any type; None where it is null, missing or too long."""
    return _decode_value(raw) if 0 < len(raw) <= MAX_VALUE else None
