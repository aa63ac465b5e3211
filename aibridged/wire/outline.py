"""Locates the members of a JSON object, in steps of bounded time, without building objects.

A decoder processes a body as a whole: it holds the interpreter for as long as that takes, and makes
an object of each element that is wanted. For a large body both can be far too much. This scanner
reads strict JSON in windows: it is a generator that yields every fraction of a millisecond, so that
other work can run in between, and it only makes offsets.

Everything that it counts is bounded; `TooComplexError` names the bound.
"""

import re
from collections import deque
from collections.abc import Generator
from typing import NamedTuple, TypeVar

import msgspec

from aibridged.wire.lone_surrogates import decode_any

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A computation in short steps that returns a T."""

MAX_DEPTH = 512
"""Nesting depth of arrays and objects."""
MAX_CONTAINERS = 250_000
"""Arrays and objects in one body."""
MAX_ELEMENTS = 100_000
"""Elements of an array that is scanned, such as the messages of a conversation."""
MAX_MEMBERS = 1_000
"""Members of an object that is scanned."""
MAX_BLANKS = 64 * 1024
"""White space in a row, in bytes; behind the body there may be more."""
MAX_NUMBER = 1_000
"""Characters of a number."""

KEPT_ELEMENTS = 4_096
"""Of an array that is looked into, the places of so many elements at its end are kept."""

_WINDOW = 64 * 1024  # bytes of a string that are looked at in one go: 0.3 ms
_RUN_WINDOW = 8 * 1024  # and of many short values
_STEP = 512  # of work: structural characters, 16 bytes of short values, or 128 of a string
_SHORT = 1024
_LONGEST_NAME = 256  # bytes; no longer one is looked for

_QUOTE, _COMMA, _COLON, _BRACE, _BRACKET = b'",:{['
_CLOSING = {_BRACE: ord("}"), _BRACKET: ord("]")}

_WS = rb"[ \t\n\r]*+"
_CHARACTERS = rb'[^"\\\x00-\x1f]*+'
_ESCAPED = rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})' + _CHARACTERS
_STRING = rb'"' + _CHARACTERS + rb"(?:" + _ESCAPED + rb')*+"'
_WORD = rb"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+|true|false|null)"
_PLAIN = rb"(?:" + _STRING + rb"|" + _WORD + rb")"
_blanks = re.compile(_WS).match
_short_string = re.compile(_STRING).match
_word = re.compile(_WORD).match
# What follows the first escape of a string, as far as the string goes.
_escaped = re.compile(rb"(?:" + _ESCAPED + rb")++").match
# Taken out of a piece of a string: what stands in none.
_CONTROLS = bytes(range(0x20))


def _run_of(plain: bytes) -> re.Pattern[bytes]:
    """One or more elements, or members, that hold no others."""
    return re.compile(rb"%b%b(?:,%b%b%b)*+" % (plain, _WS, _WS, plain, _WS))


_plain_in = {
    _BRACKET: _run_of(_PLAIN).match,
    _BRACE: _run_of(_STRING + _WS + rb":" + _WS + _PLAIN).match,
}

_decode_text = msgspec.json.Decoder(str).decode


class NotJsonError(ValueError):
    """The bytes aren't valid JSON of the expected kind."""


class TooComplexError(ValueError):
    """A bound is exceeded; the message names it and quotes nothing."""


class Span(NamedTuple):
    """The position of a value."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class Members(dict[str, Span]):
    """The members of an object by name; of duplicates, the last one."""

    repeated = False


class Elements(deque[Span]):
    """The last elements of an array, in order; `first` is the first of all, if there is one."""

    first: Span | None = None


class Outline:
    """Scans one body. Each method raises NotJsonError and TooComplexError."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._containers = 0
        self._work = 0

    def whole(self) -> Steps[Members]:
        """The members of the body's object."""
        self._containers = 0
        members, end = yield from self._object(self._skip_blanks(0))
        while blanks := _blanks(self.source, end, end + MAX_BLANKS):
            if blanks.end() == end:
                break
            end = blanks.end()
            yield
        if end != len(self.source):
            raise NotJsonError
        return members

    def members(self, span: Span) -> Steps[Members]:
        """The members of an object within the body."""
        self._containers = 0
        members, _ = yield from self._object(span.start)
        return members

    def elements(self, span: Span, first: int | None = None) -> Steps[Elements]:
        """The positions of the last elements of an array within the body, in order.

        With `first` they are those of the first ones, at most so many, and no others are scanned.
        """
        if self._at(span.start) != _BRACKET:
            raise NotJsonError
        self._containers = 0
        found = Elements(maxlen=KEPT_ELEMENTS)
        count = 0
        at = self._skip_blanks(span.start + 1)
        while self._at(at) != _CLOSING[_BRACKET]:
            count += 1
            if count > MAX_ELEMENTS:
                raise TooComplexError(f"An array has more than {MAX_ELEMENTS} elements.")
            end = yield from self._skip_value(at)
            found.append(Span(at, end))
            if count == 1:
                found.first = found[0]
            if count == first:
                break
            at = self._skip_separator(end, _BRACKET)
        return found

    def _object(self, at: int) -> Steps[tuple[Members, int]]:
        """The members of the object at this position, and its end."""
        if self._at(at) != _BRACE:
            raise NotJsonError
        members = Members()
        count = 0
        at = self._skip_blanks(at + 1)
        while self._at(at) != _CLOSING[_BRACE]:
            count += 1
            if count > MAX_MEMBERS:
                raise TooComplexError(f"An object has more than {MAX_MEMBERS} fields.")
            name, start = yield from self._key(at)
            end = yield from self._skip_value(start)
            members.repeated = members.repeated or name in members
            members[name] = Span(start, end)
            at = self._skip_separator(end, _BRACE)
        return members, at + 1

    def _key(self, at: int) -> Steps[tuple[str, int]]:
        """The name of a member, and the position of its value; a long name is cut."""
        end, start = yield from self._skip_key(at)
        if end - at > _LONGEST_NAME:
            return f"{at}:", start
        try:
            return decode_any(_decode_text, self.source[at:end]), start
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotJsonError from None

    def _skip_key(self, at: int) -> Steps[tuple[int, int]]:
        """The end of a name, and the position of its value."""
        if self._at(at) != _QUOTE:
            raise NotJsonError
        end = yield from self._skip_string(at)
        colon = self._skip_blanks(end)
        if self._at(colon) != _COLON:
            raise NotJsonError
        return end, self._skip_blanks(colon + 1)

    def _skip_value(self, at: int) -> Steps[int]:
        """The end of the value at this position."""
        if self._at(at) not in _CLOSING:
            self._work += 1
            if self._work >= _STEP:
                self._work = 0
                yield
            return (yield from self._skip_plain(at))
        opened = bytearray()
        at = self._open(opened, at)
        while opened:
            bracket = opened[-1]
            if self._at(at) == _CLOSING[bracket]:
                opened.pop()
                at += 1
            elif run := _plain_in[bracket](self.source, at, at + _RUN_WINDOW):
                self._work += (run.end() - at) >> 4
                at = run.end()
            else:
                if bracket == _BRACE:
                    _, at = yield from self._skip_key(at)
                if self._at(at) in _CLOSING:
                    at = self._open(opened, at)
                    continue
                at = yield from self._skip_plain(at)
            if opened:
                at = self._skip_separator(at, opened[-1])
            if self._work >= _STEP:
                self._work = 0
                yield
        return at

    def _skip_plain(self, at: int) -> Steps[int]:
        """The end of a value that contains no others."""
        if self._at(at) == _QUOTE:
            return (yield from self._skip_string(at))
        word = _word(self.source, at, at + MAX_NUMBER)
        if word is None:
            raise NotJsonError
        if word.end() - at == MAX_NUMBER:
            raise TooComplexError(f"A number has more than {MAX_NUMBER} characters.")
        return word.end()

    def _skip_separator(self, at: int, bracket: int) -> int:
        """After a value: the position of the next one, or its closing bracket."""
        at = self._skip_blanks(at)
        if self._at(at) == _COMMA:
            at = self._skip_blanks(at + 1)
            if self._at(at) == _CLOSING[bracket]:
                raise NotJsonError
        elif self._at(at) != _CLOSING[bracket]:
            raise NotJsonError
        return at

    def _skip_string(self, at: int) -> Steps[int]:
        if short := _short_string(self.source, at, at + _SHORT):
            return short.end()
        source = self.source
        at += 1
        while at < len(source):
            limit = at + _WINDOW
            quote = source.find(b'"', at, limit)
            escape = source.find(b"\\", at, limit if quote < 0 else quote)
            plain = source[at : escape if escape >= 0 else quote if quote >= 0 else limit]
            if len(plain.translate(None, _CONTROLS)) < len(plain):
                break
            if escape >= 0:
                more = _escaped(source, escape, escape + _WINDOW)
                if more is None:
                    break
                self._work += (more.end() - at) >> 7
                at = more.end()
            elif quote >= 0:
                return quote + 1
            else:
                self._work += 8  # it takes microseconds
                at = limit
            if self._work >= _STEP:
                self._work = 0
                yield
        raise NotJsonError

    def _skip_blanks(self, at: int) -> int:
        blanks = _blanks(self.source, at, at + MAX_BLANKS)
        assert blanks is not None, "it may be empty"
        if blanks.end() - at == MAX_BLANKS:
            raise TooComplexError(f"There is more than {MAX_BLANKS} bytes of white space in a row.")
        return blanks.end()

    def _open(self, opened: bytearray, at: int) -> int:
        """The position of the first value within the bracket at this position, or its end."""
        self._work += 1
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise TooComplexError(f"There are more than {MAX_CONTAINERS} arrays and objects.")
        opened.append(self.source[at])
        if len(opened) > MAX_DEPTH:
            raise TooComplexError(f"Arrays and objects nest deeper than {MAX_DEPTH} levels.")
        return self._skip_blanks(at + 1)

    def _at(self, at: int) -> int:
        """The character at a position; -1 at the end."""
        return self.source[at] if at < len(self.source) else -1


def run(steps: Steps[T]) -> T:
    """Run all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
