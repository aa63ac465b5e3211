"""What OpenAI's Responses API sends, typed.

Source of the shapes: the types of OpenAI's Python SDK (`types/responses`).
"""

import msgspec

from aibridged.wire.bounds import ABSENT
from aibridged.wire.lenient import Parser, TypedEvent


class Response(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    background: bool | None = None
    store: bool | None = None
    service_tier: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Outline(Response):
    output: list[msgspec.Raw] | None = msgspec.field(default=None, name="")


class Event(TypedEvent):
    sequence_number: int | None = None
    output_index: int | None = None
    summary_index: int | None = None
    content_index: int | None = None
    delta: str | None = None
    item: msgspec.Raw = ABSENT
    part: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    code: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


EVENTS = Parser(Event)
RESPONSES = Parser(Response, _Outline)
