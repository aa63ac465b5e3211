"""What Anthropic's Messages API sends, typed.

Source of the shapes: the types of Anthropic's Python SDK. A delta stays a plain object: its fields
are pieces of the block's, whichever these are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from aibridged.wire import lenient
from aibridged.wire.bounds import ABSENT, UNREADABLE, is_given, is_nothing
from aibridged.wire.collector import error_in, provider_error
from aibridged.wire.facts import ProviderError
from aibridged.wire.lenient import Parser, TypedEvent


class Block(msgspec.Struct):
    """A content block; `text` and `input` are raw until they are wanted."""

    type: str = ""
    id: str | None = None
    name: str | None = None
    text: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    thinking: str | None = None


class Begun(msgspec.Struct):
    """A message as a stream begins it, with all but its content."""

    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = ABSENT


class Message(Begun):
    """A whole message, or an error in its place."""

    type: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    error: msgspec.Raw = ABSENT

    def failure(self) -> ProviderError | None:
        """The error that stands in its place."""
        is_error = self.type == "error" or not is_nothing(self.error)
        if is_error or (self.content is None and is_given(self.error)):
            return provider_error(error_in(self.error))
        return None


class _Outline(Message):
    content: list[msgspec.Raw] | None = msgspec.field(default=None, name="")


class Event(TypedEvent):
    index: int | None = None
    delta: dict[str, Any] | None = None
    content_block: msgspec.Raw = ABSENT
    message: Begun | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT

    @property
    def pieces(self) -> Mapping[str, Any]:
        """What the delta adds to fields; empty where there is none."""
        return self.delta or {}


class _Texts(msgspec.Struct):
    """The fields of a delta that can be long."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class _Crowded(Event):
    delta: _Texts | None = None  # type: ignore[assignment]  # see `pieces`

    @property
    def pieces(self) -> Mapping[str, Any]:
        return {} if self.delta is None else msgspec.structs.asdict(self.delta)


EVENTS = Parser(Event, _Crowded, loses=False)
MESSAGES = Parser(Message, _Outline)
BLOCKS = Parser(Block)

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def block_fields(raw: msgspec.Raw) -> dict[str, Any]:
    """All that a block holds; may raise UNREADABLE."""
    try:
        return _decode_object(raw)
    except UNREADABLE:
        fields = lenient.loads(raw)
        return fields if isinstance(fields, dict) else {}
