"""Reads long strings of a large body: keeps the beginning, and measures the whole."""

import hashlib
import re
from collections.abc import Sequence

from aibridged.wire.bounds import UNREADABLE
from aibridged.wire.conversation import decode_text
from aibridged.wire.envelopes import LINE, WINDOW, Envelope, Said, ends, envelope_of
from aibridged.wire.facts import CutText
from aibridged.wire.lone_surrogates import decode_any
from aibridged.wire.outline import Span, Steps

_PIECE = 16 * 1024  # bytes that are decoded at once
# Bytes of a string that is looked at as a whole. A longer one has a beginning and an end that don't
# meet, since no character takes more than two escapes.
_WHOLE = (2 * WINDOW + 2 * _PIECE) * 12

# Whole characters and escapes, as many as there are; the halves of a surrogate pair are two.
_characters = re.compile(rb'(?:[^\\"]++|\\(?:u[0-9a-fA-F]{4}|[^u]))*+', re.DOTALL).match
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")


class LongText(str):
    """Stands for a string of a large body that is not read yet; `span` is where it stands."""

    __slots__ = ("span",)
    span: Span

    @classmethod
    def at(cls, span: Span) -> "LongText":
        text = cls()
        text.span = span
        return text


def read_said(source: bytes, texts: Sequence[str], keep: int) -> Steps[Said]:
    """What `envelopes.said_in` tells of texts of which some are long.

    The prompt is a CutText of `keep` bytes of UTF-8, if it has more.
    """
    kept = _Kept(keep)
    calls: list[str] = []
    is_said = False
    for text in texts:
        if isinstance(text, LongText) and text.span.size > _WHOLE:
            envelope = yield from _of_very_long(kept, source, text.span)
        else:
            if isinstance(text, LongText):
                text = yield from read_string(source, text.span)
            envelope = envelope_of(text) if len(text) <= WINDOW else envelope_of(*ends(text))
            yield from _keep(kept, text, envelope)
        if envelope.purpose is not None:
            return Said(purpose=envelope.purpose)
        calls += envelope.calls
        yield
        is_said = is_said or not envelope.is_notice
    return Said(kept.text() if is_said else None, calls=tuple(calls))


def read_string(source: bytes, span: Span) -> Steps[str]:
    """The string that stands there in JSON. What isn't well-formed in it is replaced."""
    pieces = []
    for piece in (yield from _pieces(source, span)):
        pieces.append(_text(source, piece))
        yield
    return "".join(pieces)


class _Kept:
    """The beginning of a prompt, up to so many bytes of UTF-8, and the measure of the whole."""

    def __init__(self, most: int) -> None:
        self._most = self._room = most
        self._beginning: list[bytes] = []
        self._length = 0
        self._digest = hashlib.sha256()
        self._is_next = False

    def next(self) -> None:
        """What is added from now on is another text."""
        self._is_next = self._length > 0

    def add(self, text: str) -> None:
        if not text:
            return
        if self._is_next:
            self._is_next = False
            text = LINE + text
        piece = text.encode(errors="replace")
        self._digest.update(piece)
        self._length += len(piece)
        if self._room:
            self._beginning.append(piece[: self._room])
            self._room -= len(self._beginning[-1])

    def text(self) -> str:
        beginning = b"".join(self._beginning).decode(errors="ignore")
        if self._length <= self._most:
            return beginning
        return CutText.of(beginning, self._length, self._digest.hexdigest())


def _keep(kept: _Kept, text: str, envelope: Envelope) -> Steps[None]:
    if envelope.is_notice or envelope.purpose is not None:
        return
    kept.next()
    if envelope.instead is not None:
        kept.add(envelope.instead)
        return
    end = len(text) - envelope.stop
    for at in range(envelope.start, end, _PIECE):
        kept.add(text[at : min(end, at + _PIECE)])
        yield


def _of_very_long(kept: _Kept, source: bytes, span: Span) -> Steps[Envelope]:
    """Keep what is the person's in a string that never is in memory as a whole."""
    pieces = yield from _pieces(source, span)
    head = _text(source, pieces[0])
    for piece in pieces[1:]:
        if len(head) >= WINDOW:
            break
        head += _text(source, piece)
        yield
    tail = ""
    while len(tail) < WINDOW:
        tail = _text(source, pieces.pop()) + tail
        yield
    envelope = envelope_of(head[:WINDOW], tail[-WINDOW:])
    if envelope.is_notice or envelope.purpose is not None:
        return envelope
    kept.next()
    start = envelope.start
    for piece in pieces:
        text = _text(source, piece)
        kept.add(text[start:])
        start = max(0, start - len(text))
        yield
    kept.add(tail[: len(tail) - envelope.stop])
    return envelope


def _pieces(source: bytes, span: Span) -> Steps[list[Span]]:
    """The string in pieces, each cut between two characters."""
    found: list[Span] = []
    at, end = span.start + 1, span.end - 1
    while at < end:
        limit = min(at + _PIECE, end)
        whole = _characters(source, at, limit)
        stop = whole.end() if whole is not None else at
        if stop < end:
            while stop > at and 0x80 <= source[stop] < 0xC0:  # within a character
                stop -= 1
            if half := _HIGH_SURROGATE.search(source, max(at, stop - 6), stop):
                stop = half.start()
        found.append(Span(at, stop if stop > at else limit))
        at = found[-1].end
        yield
    return found


def _text(source: bytes, piece: Span) -> str:
    json = source[piece.start : piece.end]
    try:
        return decode_any(decode_text, b'"%b"' % json)
    except UNREADABLE:
        return json.decode(errors="replace")
