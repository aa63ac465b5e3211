"""Reads long strings of a large body: their beginning is kept, and they are measured whole."""

import hashlib
import re

import msgspec

from aibridged.wire.facts import CutText
from aibridged.wire.outline import Span, Steps

_PIECE = 64 * 1024  # bytes that are decoded at once

# Whole characters and escapes, as many as there are; the halves of a surrogate pair are two.
_characters = re.compile(rb'(?:[^\\"]++|\\(?:u[0-9a-fA-F]{4}|[^u]))*+', re.DOTALL).match
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_decode = msgspec.json.Decoder(str).decode


def read_text(source: bytes, span: Span, keep: int) -> Steps[str]:
    """The string that stands there in JSON: a CutText of `keep` bytes of UTF-8, if it has more.

    What isn't well-formed in it is replaced, since the rest is worth keeping.
    """
    at, end = span.start + 1, span.end - 1
    kept: list[bytes] = []
    room, length = keep, 0
    digest = hashlib.sha256()
    while at < end:
        piece = _piece(source, at, end)
        at += len(piece)
        text = _text(piece).encode(errors="replace")
        digest.update(text)
        length += len(text)
        if room:
            kept.append(text[:room])
            room -= len(kept[-1])
        yield
    beginning = b"".join(kept).decode(errors="ignore")
    return CutText.of(beginning, length, digest.hexdigest()) if length > keep else beginning


def _piece(source: bytes, at: int, end: int) -> bytes:
    """Some of the string, cut between two characters."""
    limit = min(at + _PIECE, end)
    found = _characters(source, at, limit)
    stop = found.end() if found is not None else at
    if stop < end:
        while stop > at and 0x80 <= source[stop] < 0xC0:  # within a character
            stop -= 1
        if half := _HIGH_SURROGATE.search(source, max(at, stop - 6), stop):
            stop = half.start()
    return source[at : stop if stop > at else limit]


def _text(piece: bytes) -> str:
    try:
        return _decode(b'"%b"' % piece)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return piece.decode(errors="replace")
