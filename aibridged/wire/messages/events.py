"""What Anthropic's Messages API answers, typed.

Source of the shapes: the types of Anthropic's Python SDK.
"""

import msgspec

from aibridged.wire.bounds import ABSENT, Shape


class Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    thinking: str | None = None


class Delta(msgspec.Struct):
    partial_json: str | None = None
    thinking: str | None = None
    stop_reason: str | None = None


class Begun(msgspec.Struct):
    """A message as a stream begins it, with all but its content."""

    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = ABSENT


class Message(Begun):
    """A whole message, or an error in its place."""

    content: list[Block] | None = None
    error: msgspec.Raw = ABSENT


class _Outline(Message):
    content: list[Block] | None = msgspec.field(default=None, name="")


class Event(msgspec.Struct):
    type: str = ""
    index: int = -1
    delta: Delta | None = None
    content_block: Block | None = None
    message: Begun | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


decode_event = msgspec.json.Decoder(Event).decode
decode_message = Shape(Message, _Outline).decode
