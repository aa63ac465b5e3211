"""What is decoded of JSON that holds more than any answer does."""

import msgspec
import pytest

from aibridged.wire import bounds
from aibridged.wire.bounds import ABSENT, MAX_ELEMENTS, MAX_VALUE, Shape, has_more_commas, is_given


class Whole(msgspec.Struct):
    id: str = ""
    items: list[int] | None = None


class Outline(Whole):
    items: list[int] | None = msgspec.field(default=None, name="")


def listing(count: int) -> bytes:
    return b'{"items":[%b],"id":"x"}' % b",".join([b"0"] * count)


def test_of_what_is_crowded_the_lists_are_left_out() -> None:
    shape = Shape(Whole, Outline)
    assert shape.decode(listing(MAX_ELEMENTS)) == (Whole("x", [0] * MAX_ELEMENTS), False)
    assert shape.decode(listing(MAX_ELEMENTS + 10)) == (Outline("x"), True)


def test_a_large_string_is_no_crowd() -> None:
    large = b'{"id":"%b","items":[1]}' % (b"A" * 4_000_000)
    assert Shape(Whole, Outline).decode(large) == (Whole("A" * 4_000_000, [1]), False)


def test_what_is_small_is_no_crowd() -> None:
    assert not has_more_commas(b"," * 100, 10)
    assert has_more_commas(b"," * bounds.SMALL + b" ", 10)


@pytest.mark.parametrize(("raw", "given"), [(b"", False), (b"null", False), (b"0", True)])
def test_a_field_is_given(raw: bytes, given: bool) -> None:
    assert is_given(msgspec.Raw(raw)) is given


def test_values_of_any_shape_are_short() -> None:
    usage = msgspec.json.encode({str(number): number for number in range(100_000)})
    assert bounds.counts(msgspec.Raw(b'{"a":1}')) == {"a": 1}
    assert bounds.counts(msgspec.Raw(b"null")) is None
    assert bounds.counts(ABSENT) is None
    for wrong in (b"[1]", usage):
        with pytest.raises(msgspec.DecodeError):
            bounds.counts(msgspec.Raw(wrong))
    assert bounds.value(msgspec.Raw(b'["a"]')) == ["a"]
    assert bounds.value(msgspec.Raw(b"null")) is None
    assert bounds.value(ABSENT) is None
    assert bounds.value(msgspec.Raw(b'"%b"' % (b"x" * MAX_VALUE))) is None


def test_texts() -> None:
    assert bounds.text(msgspec.Raw(b'"\\u00e9"')) == "é"
    assert bounds.text(msgspec.Raw(b'["a"]')) is None
    assert bounds.text(ABSENT) is None
