"""What is decoded of JSON that holds more than any answer does."""

import msgspec
import pytest

from aibridged.wire import bounds
from aibridged.wire.bounds import ABSENT, MAX_VALUE, has_more_elements, is_given


def test_what_is_small_is_no_crowd() -> None:
    assert not has_more_elements(b"," * 100, 10)
    for element in (b",", b"{", b"["):
        assert has_more_elements(element * bounds.SMALL + b" ", 10)


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


def test_an_empty_field() -> None:
    assert all(bounds.is_empty(msgspec.Raw(raw)) for raw in (b"", b"null", b'""'))
    assert not any(bounds.is_empty(msgspec.Raw(raw)) for raw in (b"0", b"[]", b'"a"', b"false"))


def test_what_servers_write_for_nothing() -> None:
    nothing = (b"", b"null", b"false", b"0", b'""', b"{}", b"[]", b"{ }", b"[\n]")
    assert all(bounds.is_nothing(msgspec.Raw(raw)) for raw in nothing)
    given = (b"true", b"1", b'"a"', b'{"a":0}', b"[0]")
    assert not any(bounds.is_nothing(msgspec.Raw(raw)) for raw in given)
