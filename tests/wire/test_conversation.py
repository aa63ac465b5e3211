"""What stands behind the model's last item. Whole requests are in `test_request`."""

import msgspec
import pytest

from aibridged.wire.conversation import (
    LAST_BYTES,
    LAST_ITEMS,
    LAST_PARTS,
    MAX_PARTS,
    End,
    Item,
    ItemHead,
    Part,
    end_of,
    is_models,
    last_items,
    tells_what_was_typed,
)
from aibridged.wire.envelopes import MEANWHILE


def raw(**fields: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(fields))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ItemHead(role="assistant"), True),
        (ItemHead(type="function_call", call_id="a"), True),
        (ItemHead(type="reasoning"), True),
        (ItemHead(role="tool"), True),
        (ItemHead(role="user"), False),
        (ItemHead(role="system"), False),
        (ItemHead(role="developer"), False),
        (ItemHead(role="tool", tool_call_id="a"), False),
        (ItemHead(type="function_call_output", call_id="a"), False),
    ],
)
def test_which_items_are_the_models(head: ItemHead, expected: bool) -> None:
    assert is_models(head) is expected


def test_content_is_decoded_where_it_is_wanted() -> None:
    items = [raw(role="assistant", content=[{"type": 7}]), raw(role="user", content="Hi")]
    newest, oldest = last_items(items)
    assert (type(newest), type(oldest)) == (Item, ItemHead)
    assert len(list(last_items([raw(role="user")] * (LAST_ITEMS + 1)))) == LAST_ITEMS


def test_items_beyond_the_models_are_not_taken() -> None:
    def items():
        yield Item(role="user", content="Hi")
        yield ItemHead(role="assistant")
        raise AssertionError

    assert end_of(items()) == End(("Hi",), [])


def test_a_system_message_is_looked_into_up_to_a_bound() -> None:
    said = MEANWHILE.encode()
    assert tells_what_was_typed(said)
    assert not tells_what_was_typed(b"anything")
    assert not tells_what_was_typed(said + b"x" * LAST_BYTES)


def test_what_was_typed_meanwhile_stands_before_what_was_typed_then() -> None:
    reminder = f"x<system-reminder>\\n{MEANWHILE}a\\n</system-reminder>".replace("\n", "\\n")
    result = Part(type="tool_result", content=msgspec.Raw(f'"{reminder}"'.encode()))
    parts = [Part(type="text", text="before"), result, Part(type="text", text="c")]
    assert end_of([Item(role="user", content=parts)]).texts == [f"{MEANWHILE}a", "c"]


def test_the_parts_of_all_messages_have_a_bound() -> None:
    message = Item(role="user", content=[Part(type="text", text="a")] * LAST_PARTS)
    assert len(end_of([message] * 30).texts) == MAX_PARTS + LAST_PARTS
