"""Reads JSON that strict decoding refuses, field by field.

Real servers send half an emoji, NaN, raw control characters and invalid UTF-8, a number for an id
and an object for a text. A response with one such thing is as good to its client as any other, so
that its facts are wanted, too: what can't be read is left out and counted, never the whole.

Python's own decoder takes what msgspec's refuses, at a tenth of the speed; so it is asked last, and
only about so much as it reads in a few milliseconds.
"""

import json
import re
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin

import msgspec

from aibridged.wire.bounds import (
    ABSENT,
    MAX_CROWD,
    MAX_ELEMENTS,
    MAX_VALUE,
    SMALL,
    UNREADABLE,
    elements,
)
from aibridged.wire.shorten import shortened

MAX_LENIENT = 512 * 1024
"""Bytes that are read leniently; what is longer is shortened before, and then may be too long."""

MAX_LENIENT_ELEMENTS = 16 * 1024
"""What has more of them isn't read leniently, either."""

MAX_CONVERTED = 512
"""Elements of a list that are kept of what is read leniently."""

LEFT_OUT = "unreadable_field"
"""The anomaly that counts fields that weren't what they should be."""

T = TypeVar("T")
Count = Callable[[str], None]
Convert = Callable[[Any, Count], Any]

_MAX_INDEX = 2**53
_MAX_DIGITS = 300  # of an integer that every decoder takes
_MAX_USAGES = 8  # that are looked into, from the end
_MAX_COUNTS = 4096  # elements of what begins with one
_USAGE = re.compile(rb'"usage"[ \t\r\n]{0,99}:[ \t\r\n]{0,99}(?=\{)')
_HALVES = re.compile("[\ud800-\udfff]")

_encode = msgspec.json.Encoder().encode


def _integer(digits: str) -> int | float:
    """An integer; a float, which may be infinite, of one that is too long for other decoders."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


_decode = json.JSONDecoder(
    strict=False, parse_int=_integer, parse_constant=lambda _: None
).raw_decode


def uncounted(kind: str) -> None:
    """A count for what another reader counts already."""


def loads(source: bytes | bytearray | msgspec.Raw) -> Any:
    """What JSON holds, as plain objects; halves of a surrogate pair stay as they are.

    Raises:
        msgspec.DecodeError: it isn't JSON even so.
        RecursionError: it nests too deep.
    """
    found, rest = _begun(source)
    if rest.strip():
        raise msgspec.DecodeError
    return found


def _begun(source: bytes | bytearray | msgspec.Raw) -> tuple[Any, str]:
    """The value that the bytes begin with, and what is behind it."""
    given = bytes(source)
    try:
        text = given.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = given.decode("utf-8", "replace")
    text = text.lstrip("\ufeff \t\r\n")
    try:
        found, end = _decode(text)
    except ValueError:
        raise msgspec.DecodeError from None
    return found, text[end:]


def well_formed(text: str) -> str:
    """The text with two halves side by side made one character, and a lone half U+FFFD."""
    if text.isascii() or _HALVES.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encoded(plain: Any) -> bytes:
    """Plain objects as JSON that every decoder reads."""
    try:
        return _encode(plain)
    except UnicodeEncodeError:
        return _encode(_well_formed(plain))


def _well_formed(plain: Any) -> Any:
    if isinstance(plain, str):
        return well_formed(plain)
    if isinstance(plain, list):
        return [_well_formed(each) for each in plain]
    if isinstance(plain, dict):
        return {_well_formed(key): _well_formed(each) for key, each in plain.items()}
    return plain


def text(given: Any) -> str | None:
    """A text, or a number as one; None for anything else."""
    if isinstance(given, str):
        return given
    return str(given) if isinstance(given, int | float) and not isinstance(given, bool) else None


def json_of(given: Any) -> str:
    """A text as it is, an object as its JSON; empty for null. So servers give arguments."""
    if given is None:
        return ""
    return given if isinstance(given, str) else encoded(given).decode()


class TypedEvent(msgspec.Struct):
    """An event of a stream, with its type; that is its name where the data has none."""

    type: str = ""


class Parser(Generic[T]):
    """Decodes objects of the struct `whole`.

    What is crowded is decoded as `outline`: a subtype whose lists have names that never come, so
    that something is lost, or (`loses`) isn't.
    """

    def __init__(
        self, whole: type[T], outline: type[T] | None = None, *, loses: bool = True
    ) -> None:
        self._loses = loses
        self.decode = msgspec.json.Decoder(whole).decode
        """Decodes strictly what isn't large (see `bounds.SMALL`)."""
        self._outline = None if outline is None else msgspec.json.Decoder(outline).decode
        self._convert = _struct(whole)

    def read(self, source: bytes | msgspec.Raw, count: Count, what: str) -> T | None:
        """The object, however large and odd it is; None for what can't be read even so.

        `count` is told what is left out: fields, or that `what` is crowded or unreadable.
        """
        if not source:
            count(f"unreadable_{what}")
            return None
        try:
            if len(source) <= SMALL:
                return self.decode(source)
            crowd = elements(bytes(source))
            if crowd > MAX_CROWD:
                count(f"crowded_{what}")
                return None
            if crowd > MAX_ELEMENTS and self._outline is not None:
                outlined = self._outline(source)
                if self._loses:
                    count(f"crowded_{what}")
                return outlined
            return self.decode(source)
        except UNREADABLE:
            found = self._read_leniently(bytes(source), count)
        if found is None:
            count(f"unreadable_{what}")
        return found

    def _read_leniently(self, odd: bytes, count: Count) -> T | None:
        if len(odd) > MAX_LENIENT:
            odd = shortened(odd)
        if len(odd) > MAX_LENIENT or elements(odd) > MAX_LENIENT_ELEMENTS:
            return None
        try:
            found = self._convert(loads(odd), count)
        except UNREADABLE:
            return None
        return None if found is _LEFT_OUT else cast(T, found)


def usage_in(source: bytes | bytearray) -> msgspec.Raw:
    """The last usage object in what can't be read as a whole; absent if there is none."""
    end = len(source)
    for _ in range(_MAX_USAGES):
        end = source.rfind(b'"usage"', 0, end)
        if end < 0:
            break
        opened = _USAGE.match(source, end)
        if opened is None:
            continue
        begun = bytes(source[opened.end() : opened.end() + MAX_VALUE])
        if elements(begun) > _MAX_COUNTS:
            continue
        try:
            usage, _ = _begun(begun)
        except UNREADABLE:
            continue
        if any(key.endswith("tokens") for key in usage):
            return msgspec.Raw(encoded(usage))
    return ABSENT


_LEFT_OUT: Any = object()


def _struct(cls: type[T]) -> Convert:
    """Makes the struct of an object; a field that isn't as it should be has its default."""
    fields = [
        (each.encode_name, each.name, _converter(each.type))
        for each in msgspec.structs.fields(cls)  # type: ignore[arg-type]  # it is one
    ]

    def convert(given: Any, count: Count) -> Any:
        if not isinstance(given, dict):
            return _LEFT_OUT
        found = {}
        for key, name, convert_field in fields:
            if key in given:
                field = convert_field(given[key], count)
                if field is not _LEFT_OUT:
                    found[name] = field
                else:
                    count(LEFT_OUT)
        return cls(**found)

    return convert


def _converter(hint: Any) -> Convert:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _optional([each for each in inner if each is not NoneType])
    if origin is list:
        return _list(_converter(inner[0]))
    if origin is dict:
        return _dict
    return _struct(hint)


def _optional(hints: list[Any]) -> Convert:
    """None, or the first of these that it can be."""
    convert_each = [_converter(hint) for hint in hints]

    def convert(given: Any, count: Count) -> Any:
        if given is None:
            return None
        for convert_it in convert_each:
            found = convert_it(given, count)
            if found is not _LEFT_OUT:
                return found
        return _LEFT_OUT

    return convert


def _list(convert_one: Convert) -> Convert:
    """A list; an object in its place is its only element, or holds them by their numbers."""

    def convert(given: Any, count: Count) -> Any:
        if isinstance(given, dict):
            numbered = given and all(key.isdecimal() for key in given)
            given = list(given.values()) if numbered else [given]
        if not isinstance(given, list):
            return _LEFT_OUT
        found = [convert_one(each, count) for each in given[:MAX_CONVERTED]]
        if len(given) > MAX_CONVERTED:
            count(LEFT_OUT)
        kept = [each for each in found if each is not _LEFT_OUT]
        for _ in range(len(found) - len(kept)):
            count(LEFT_OUT)
        return kept

    return convert


def _dict(given: Any, _: Count) -> Any:
    return given if isinstance(given, dict) else _LEFT_OUT


def _text(given: Any, _: Count) -> Any:
    found = text(given)
    return _LEFT_OUT if found is None else found


def _number(given: Any, _: Count) -> Any:
    try:
        number = int(given)
    except (TypeError, ValueError, OverflowError):
        return _LEFT_OUT
    return number if abs(number) < _MAX_INDEX else _LEFT_OUT


_PLAIN: Mapping[Any, Convert] = {
    Any: lambda given, _: given,
    str: _text,
    int: _number,
    bool: lambda given, _: given if isinstance(given, bool) else _LEFT_OUT,
    msgspec.Raw: lambda given, _: msgspec.Raw(encoded(given)),
}
