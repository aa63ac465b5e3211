"""Finds where the members of a JSON object stand, in steps of bounded time, building nothing.

A decoder takes a body whole: it holds the interpreter for as long as that lasts, and makes an
object of each element that it is asked for. For a large body both can be far too much. This scanner
reads strict JSON in windows: it is a generator that yields every fraction of a millisecond, so that
its caller can let other work in, and all that it makes are offsets.

What it counts is bounded; `TooComplexError` names the bound.
"""

import re
from collections import deque
from collections.abc import Generator
from typing import NamedTuple, TypeVar

import msgspec

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A computation in short steps, which returns a T."""

MAX_DEPTH = 512
"""How deep arrays and objects may nest."""
MAX_CONTAINERS = 250_000
"""Arrays and objects in one body."""
MAX_ELEMENTS = 100_000
"""Elements of an array that is looked into: the messages of a conversation, say."""
MAX_MEMBERS = 1_000
"""Members of an object that is looked into."""
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
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_WORD = rb"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+|true|false|null)"
_PLAIN = rb"(?:" + _STRING + rb"|" + _WORD + rb")"
_blanks = re.compile(_WS).match
_short_string = re.compile(_STRING, re.DOTALL).match
_word = re.compile(_WORD).match
# What follows the first escape of a string, as far as the string goes.
_escaped = re.compile(rb'(?:\\.[^"\\]*+)++', re.DOTALL).match


def _run_of(plain: bytes) -> re.Pattern[bytes]:
    """One or more elements, or members, that hold no others."""
    return re.compile(rb"%b%b(?:,%b%b%b)*+" % (plain, _WS, _WS, plain, _WS), re.DOTALL)


_plain_in = {
    _BRACKET: _run_of(_PLAIN).match,
    _BRACE: _run_of(_STRING + _WS + rb":" + _WS + _PLAIN).match,
}

_decode_text = msgspec.json.Decoder(str).decode


class NotJsonError(ValueError):
    """Bytes that aren't the JSON that they should be."""


class TooComplexError(ValueError):
    """More of something than is looked at; the sentence names the bound and quotes nothing."""


class Span(NamedTuple):
    """Where a value begins and ends."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class Members(dict[str, Span]):
    """The members of an object by name. Of a name that comes twice the last one counts."""

    repeated = False


class Outline:
    """Looks into one body. Each method raises NotJsonError, and TooComplexError."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._containers = 0
        self._work = 0

    def whole(self) -> Steps[Members]:
        """The members of the object that the body is."""
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

    def elements(self, span: Span) -> Steps[deque[Span]]:
        """Where the last elements of an array within the body stand, in order."""
        if self._at(span.start) != _BRACKET:
            raise NotJsonError
        self._containers = 0
        found: deque[Span] = deque(maxlen=KEPT_ELEMENTS)
        count = 0
        at = self._skip_blanks(span.start + 1)
        while self._at(at) != _CLOSING[_BRACKET]:
            count += 1
            if count > MAX_ELEMENTS:
                raise TooComplexError(f"An array has more than {MAX_ELEMENTS} elements.")
            end = yield from self._skip_value(at)
            found.append(Span(at, end))
            at = self._skip_separator(end, _BRACKET)
        return found

    def _object(self, at: int) -> Steps[tuple[Members, int]]:
        """The members of the object that begins here, and its end."""
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
        """The name of a member, and where its value begins; a long name is cut."""
        end, start = yield from self._skip_key(at)
        if end - at > _LONGEST_NAME:
            return f"{at}:", start
        try:
            return _decode_text(self.source[at:end]), start
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotJsonError from None

    def _skip_key(self, at: int) -> Steps[tuple[int, int]]:
        """Where a name ends, and where its value begins."""
        if self._at(at) != _QUOTE:
            raise NotJsonError
        end = yield from self._skip_string(at)
        colon = self._skip_blanks(end)
        if self._at(colon) != _COLON:
            raise NotJsonError
        return end, self._skip_blanks(colon + 1)

    def _skip_value(self, at: int) -> Steps[int]:
        """Where the value ends that begins here."""
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
        """Where a value ends that holds no others."""
        if self._at(at) == _QUOTE:
            return (yield from self._skip_string(at))
        word = _word(self.source, at, at + MAX_NUMBER)
        if word is None:
            raise NotJsonError
        if word.end() - at == MAX_NUMBER:
            raise TooComplexError(f"A number has more than {MAX_NUMBER} characters.")
        return word.end()

    def _skip_separator(self, at: int, bracket: int) -> int:
        """Behind a value: where the next one begins, or its bracket closes."""
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
        """Where the first value begins within the bracket that stands here, or its end."""
        self._work += 1
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise TooComplexError(f"There are more than {MAX_CONTAINERS} arrays and objects.")
        opened.append(self.source[at])
        if len(opened) > MAX_DEPTH:
            raise TooComplexError(f"Arrays and objects nest deeper than {MAX_DEPTH} levels.")
        return self._skip_blanks(at + 1)

    def _at(self, at: int) -> int:
        """The character here; -1 at the end."""
        return self.source[at] if at < len(self.source) else -1


def run(steps: Steps[T]) -> T:
    """Take all the steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
