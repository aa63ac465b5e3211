"""Continues a stored response that consists of several turns.

A client that names a response to continue names the one that it was shown. What the provider has
stored under that name may be the first of several turns, or contain a call that was hidden from the
client and has no result yet; it would refuse to continue from there.
"""

from collections.abc import Callable, Sequence

import msgspec

from aibridged.wire.bounds import UNREADABLE
from aibridged.wire.splice import Fields

_encode = msgspec.json.Encoder().encode


class Continuation(msgspec.Struct, frozen=True):
    """How to continue from `name`, a response or a conversation.

    From the response `instead`, if it isn't None, and with the items `outputs` before all input.
    """

    name: str
    instead: str | None = None
    outputs: tuple[bytes, ...] = ()


class _Stored(msgspec.Struct):
    instead: str | None
    outputs: Sequence[msgspec.Raw]


_decode_stored = msgspec.json.Decoder(_Stored).decode


def stored(continuation: Continuation) -> str:
    """The continuation as text, all but the name."""
    outputs = [msgspec.Raw(each) for each in continuation.outputs]
    return _encode(_Stored(continuation.instead, outputs)).decode()


def restored(name: str, text: str) -> Continuation:
    """The continuation that `stored` made a text of. Raises msgspec.DecodeError."""
    found = _decode_stored(text)
    return Continuation(name, found.instead, tuple(bytes(each) for each in found.outputs))


class _Conversation(msgspec.Struct):
    id: str


_decode_name = msgspec.json.Decoder(str | _Conversation).decode


def conversation_of(fields: Fields) -> str | None:
    """The id of the conversation that the provider keeps, if the request is about one."""
    raw = fields.raw("conversation")
    if raw is None:
        return None
    name = _decode_name(raw)
    return name if isinstance(name, str) else name.id


def go_on(fields: Fields, known: Callable[[str], Continuation | None]) -> Fields:
    """The request, continued from where the name has really ended; mostly it is unchanged."""
    try:
        previous = fields.raw("previous_response_id")
        name = conversation_of(fields) if previous is None else str(_decode_name(previous))
    except UNREADABLE:
        return fields
    found = None if name is None else known(name)
    if found is None:
        return fields
    edits = []
    if found.instead is not None:
        edits.append(fields.put("previous_response_id", _encode(found.instead)))
    if found.outputs:
        edits.append(fields.put("input", as_items(fields.raw("input"), found.outputs)))
    return fields.edit(*edits)


def as_items(given: bytes | None, before: tuple[bytes, ...] = ()) -> bytes:
    """An input as a list, with items before those that are there."""
    items = list(before)
    if given is not None and given.startswith(b"["):
        inner = given[1:-1]
        items += [inner] if inner.strip() else []
    elif given is not None:
        items.append(b'{"role":"user","content":%b}' % given)
    return b"[%b]" % b",".join(items)
