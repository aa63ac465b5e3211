"""What OpenAI's Responses API answers, typed.

Source of the shapes: the types of OpenAI's Python SDK (`types/responses`).
"""

import msgspec

from aibridged.wire.bounds import ABSENT, Shape
from aibridged.wire.responses.items import Item


class Response(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Item] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Outline(Response):
    output: list[Item] | None = msgspec.field(default=None, name="")


class Event(msgspec.Struct):
    type: str = ""
    output_index: int = -1
    summary_index: int = 0
    content_index: int = 0
    delta: msgspec.Raw = ABSENT
    item: Item | None = None
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    code: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


decode_event = msgspec.json.Decoder(Event).decode
decode_response = Shape(Response, _Outline).decode
