"""Halves of surrogate pairs in JSON: an escape of one alone is legal, but no decoder takes it.

JavaScript cuts strings between the two halves of an emoji, and `JSON.stringify` writes what is left
as an escape like `\\ud83d`. Such JSON comes from every agent that cuts a tool's output. For the
record each half that stands alone becomes U+FFFD; what goes upstream stays as it came.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

MAX_ESCAPES = 4_096
"""Surrogates of one value that are looked at, in about 4 ms; one that has more isn't mended."""

_HEX = rb"[0-9a-f]{2}"
# A pair, or a half.
_surrogate = re.compile(
    rb"\\ud(?:[89ab]%b\\ud[c-f]%b|[89a-f]%b)" % (_HEX, _HEX, _HEX), re.IGNORECASE
).match
_PAIR = 12
_RUN = 256  # backslashes that are counted at once

Json = bytes | msgspec.Raw
T = TypeVar("T")


def mended(json: bytes) -> bytes:
    """The same JSON with U+FFFD for each half that stands alone; of the same length."""
    # Found by a search for bytes, which takes a tenth of the time of one for an expression.
    lower = json.replace(rb"\uD", rb"\ud")
    if lower.count(rb"\ud") > MAX_ESCAPES:
        return json
    pieces: list[bytes] = []
    done = 0
    at = lower.find(rb"\ud")
    while at >= 0:
        found = _surrogate(lower, at)
        if found is None or _is_escaped(json, at):
            end = at + 1
        else:
            end = found.end()
            if end - at < _PAIR:
                pieces += (json[done:at], rb"\ufffd")
                done = end
        at = lower.find(rb"\ud", end)
    return b"".join((*pieces, json[done:])) if pieces else json


def _is_escaped(json: bytes, at: int) -> bool:
    """Whether the backslash there is the second one of an escape."""
    run = 0
    while run < at:
        before = json[max(0, at - run - _RUN) : at - run]
        backslashes = len(before) - len(before.rstrip(b"\\"))
        run += backslashes
        if backslashes < _RUN:
            break
    return run % 2 == 1


def decode_mended(decode: Callable[[Json], T], json: Json) -> T:
    """What `decode` makes of the JSON, mended where it has to be; raises what `decode` raises."""
    try:
        return decode(json)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if (whole := mended(came := bytes(json))) is came:
            raise
        return decode(whole)


def repaired(json: Json) -> bytes:
    """The same, mended, with U+FFFD for bytes that aren't UTF-8."""
    came = bytes(json)
    try:
        came.decode()
    except UnicodeDecodeError:
        came = came.decode(errors="replace").encode()
    return mended(came)


def decode_any(decode: Callable[[Json], T], json: Json) -> T:
    """The same, with U+FFFD for bytes that aren't UTF-8, too: for what is read for the record."""
    try:
        return decode_mended(decode, json)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        came = bytes(json)
        if (text := came.decode(errors="replace").encode()) == came:
            raise
        return decode_mended(decode, text)
