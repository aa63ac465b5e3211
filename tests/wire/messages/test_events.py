"""Events of the Messages API, also those that are crowded or odd."""

import msgspec
import pytest

from aibridged.wire.bounds import MAX_ELEMENTS
from aibridged.wire.facts import ProviderError
from aibridged.wire.lenient import uncounted
from aibridged.wire.messages.events import EVENTS, MESSAGES, block_fields


def test_a_delta_is_any_object() -> None:
    event = EVENTS.decode(b'{"index":1,"delta":{"type":"new_delta","new":[1]}}')
    assert event.pieces == {"type": "new_delta", "new": [1]}
    assert EVENTS.decode(b"{}").pieces == {}


def test_a_long_text_with_many_commas_is_read() -> None:
    text = "a," * (MAX_ELEMENTS + 1)
    counted: list[str] = []
    delta = msgspec.json.encode({"delta": {"partial_json": text, "new": "x"}})
    event = EVENTS.read(delta, counted.append, "event")
    assert event is not None
    assert (event.pieces["partial_json"], event.pieces.get("new")) == (text, None)
    crowd = b'{"x":[%b0]}' % (b"0," * MAX_ELEMENTS)
    event = EVENTS.read(crowd, counted.append, "event")
    assert event is not None
    assert event.pieces == {}
    assert counted == []


def test_the_fields_of_a_block() -> None:
    assert block_fields(msgspec.Raw(b'{"a":[1]}')) == {"a": [1]}
    assert block_fields(msgspec.Raw(b'{"a":"\xff"}')) == {"a": "\ufffd"}
    assert block_fields(msgspec.Raw(b"[1]")) == {}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"type":"message","content":[],"error":null}', None),
        (b'{"type":"error"}', ProviderError(None, None, None)),
        (b'{"error":{"type":"t","message":"m"}}', ProviderError("t", None, "m")),
    ],
)
def test_failures(body: bytes, error: ProviderError | None) -> None:
    message = MESSAGES.read(body, uncounted, "body")
    assert message is not None
    assert message.failure() == error
