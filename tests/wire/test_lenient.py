"""JSON that strict decoding refuses, field by field."""

import time
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire import lenient
from aibridged.wire.bounds import ABSENT, MAX_CROWD, MAX_ELEMENTS, MAX_VALUE
from aibridged.wire.lenient import (
    MAX_CONVERTED,
    MAX_LENIENT,
    MAX_LENIENT_ELEMENTS,
    Parser,
    encoded,
    json_of,
    loads,
    usage_in,
    well_formed,
)


class Inner(msgspec.Struct):
    name: str = ""
    count: int | None = None


class Whole(msgspec.Struct):
    id: str | int | None = None
    index: int = -1
    stored: bool | None = None
    inner: Inner | None = None
    items: list[Inner] | None = None
    raws: list[msgspec.Raw] | None = None
    raw: msgspec.Raw = ABSENT
    plain: dict[str, Any] | None = None


class Outline(Whole):
    items: list[Inner] | None = msgspec.field(default=None, name="")


class RawOutline(Whole):
    raws: list[msgspec.Raw] | None = msgspec.field(default=None, name="")


PARSER = Parser(Whole, Outline)


def read(source: bytes, parser: Parser[Whole] = PARSER) -> tuple[Whole | None, dict[str, int]]:
    counted: Counter[str] = Counter()
    found = parser.read(source, lambda kind: counted.update([kind]), "thing")
    return found, dict(counted)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b'{"id":"a\\ud83d"}', Whole(id="a\ud83d")),
        (b'{"id":"\\ud83d\\ude00 \\ude00"}', Whole(id="😀 \ude00")),
        (b'{"id":"a\nb\x01"}', Whole(id="a\nb\x01")),
        (b'{"id":"\xff"}', Whole(id="\ufffd")),
        (b'{"id":"\xed\xa0\xbd"}', Whole(id="\ud83d")),
        (b'\xef\xbb\xbf \n{"id":"a"}', Whole(id="a")),
        (b'{"other":NaN,"id":-Infinity,"index":1}', Whole(index=1)),
        (b'{"index":"7"}', Whole(index=7)),
        (b'{"index":2.0,"inner":{"name":3,"count":"4"}}', Whole(index=2, inner=Inner("3", 4))),
        (b'{"items":{"name":"a"}}', Whole(items=[Inner("a")])),
        (b'{"items":{"0":{"name":"a"},"1":{"name":"b"}}}', Whole(items=[Inner("a"), Inner("b")])),
        (
            b'{"index":"1","raw":{"a":"\\ud83d"}}',
            Whole(index=1, raw=msgspec.Raw(b'{"a":"\xef\xbf\xbd"}')),
        ),
        (
            b'{"index":"1","raws":[1e999,[]]}',
            Whole(index=1, raws=[msgspec.Raw(b"null"), msgspec.Raw(b"[]")]),
        ),
        (b'{"index":"1","plain":{"a":[1]}}', Whole(index=1, plain={"a": [1]})),
    ],
)
def test_what_is_odd_is_read_as_what_it_means(source: bytes, expected: Whole) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        PARSER.decode(source)
    assert read(source) == (expected, {})


@pytest.mark.parametrize(
    ("source", "expected", "left_out"),
    [
        (b'{"id":["a"],"index":3}', Whole(index=3), 1),
        (b'{"index":null,"stored":"yes","id":"a"}', Whole(id="a"), 2),
        (b'{"inner":[],"index":3}', Whole(index=3), 1),
        (b'{"inner":{"name":[],"count":true},"index":1}', Whole(index=1, inner=Inner(count=1)), 1),
        (b'{"items":7,"index":3}', Whole(index=3), 1),
        (b'{"items":[{"name":"a"},7,null,[]]}', Whole(items=[Inner("a")]), 3),
        (b'{"plain":[1],"index":1e300}', Whole(), 2),
    ],
)
def test_what_can_not_be_read_is_left_out_and_counted(
    source: bytes, expected: Whole, left_out: int
) -> None:
    assert read(source) == (expected, {"unreadable_field": left_out})


@pytest.mark.parametrize(
    "source", [b"", b"{", b"[]", b'"x"', b"7", b"{}{}", b'{"id":"\\q"}', b"[" * 100_000]
)
def test_the_rest_is_unreadable(source: bytes) -> None:
    assert read(source) == (None, {"unreadable_thing": 1})


def listing(count: int, before: bytes = b"") -> bytes:
    return b'{%b"items":[%b],"id":"x"}' % (before, b",".join([b'{"name":"a"}'] * count))


def test_of_what_is_crowded_the_lists_are_left_out() -> None:
    whole, counted = read(listing(MAX_ELEMENTS - 2))
    assert whole is not None
    assert whole.items is not None
    assert len(whole.items) == MAX_ELEMENTS - 2
    assert counted == {}
    assert read(listing(MAX_ELEMENTS + 10)) == (Outline(id="x"), {"crowded_thing": 1})
    lossless = Parser(Whole, Outline, loses=False)
    assert read(listing(MAX_ELEMENTS + 10), lossless) == (Outline(id="x"), {})
    assert read(listing(MAX_CROWD + 10)) == (None, {"crowded_thing": 1})
    nested = b'{"id":"x","raws":[%b]}' % b",".join([b"[[[[[]]]]]"] * (MAX_ELEMENTS // 4))
    assert read(nested, Parser(Whole, RawOutline)) == (RawOutline(id="x"), {"crowded_thing": 1})


def test_an_integer_that_is_longer_than_any_costs_nothing_else() -> None:
    digits = b"9" * 5_000
    for odd in (b'"\\ud83d"', b"NaN"):
        source = b'{"id":"x","index":%b,"plain":{"a":%b,"n":%b}}' % (digits, odd, digits)
        whole, counted = read(source)
        assert whole is not None
        assert counted == {"unreadable_field": 1}
        assert encoded(whole.plain).endswith(b'"n":null}')
    assert encoded(loads(b'{"a":"\\ud83d","n":%b}' % digits)) == '{"a":"\ufffd","n":null}'.encode()
    kept = b"9" * 300
    assert encoded(loads(b'{"a":"\\ud83d","n":%b}' % kept)).endswith(b'"n":%b}' % kept)


def test_a_large_string_is_no_crowd() -> None:
    assert read(b'{"id":"%b"}' % (b"A" * 4_000_000)) == (Whole(id="A" * 4_000_000), {})


def test_what_is_odd_is_read_up_to_a_bound() -> None:
    odd = b'"other":NaN,'
    whole, counted = read(listing(MAX_CONVERTED + 1, odd))
    assert whole is not None
    assert whole.items is not None
    assert (len(whole.items), counted) == (MAX_CONVERTED, {"unreadable_field": 1})
    assert read(listing(MAX_LENIENT_ELEMENTS, odd)) == (None, {"unreadable_thing": 1})
    texts = b",".join([b'"%b"' % (b"x" * 60_000)] * (MAX_LENIENT // 60_000 + 1))
    assert read(b'{%b"plain":[%b]}' % (odd, texts)) == (None, {"unreadable_thing": 1})


def test_what_is_odd_and_long_is_read_without_its_long_strings() -> None:
    image = b"A" * MAX_LENIENT
    assert read(b'{"other":NaN,"id":"x","plain":{"i":"%b"}}' % image) == (
        Whole(id="x", plain={"i": ""}),
        {},
    )


@pytest.mark.parametrize(
    "odd",
    [
        listing(MAX_LENIENT_ELEMENTS - 10, b'"x":NaN,'),
        b'{"x":NaN,"raw":["\\ud83d"%b]}' % (b',"a"' * (MAX_LENIENT_ELEMENTS - 10)),
        b'{"x":NaN,"plain":%b}' % (b'{"a":' * 900 + b"1" + b"}" * 900),
        b'{"x":NaN,"id":%b}' % (b"9" * 4_000),
        b'{"x":NaN,"id":"%b"}' % (b"\\u00e9\\n" * (MAX_LENIENT // 10)),
    ],
    ids=["objects", "half an emoji", "depth", "digits", "escapes"],
)
def test_reading_what_is_odd_takes_milliseconds(odd: bytes) -> None:
    took = []
    for _ in range(5):
        began = time.process_time()
        read(odd)
        took.append(time.process_time() - began)
    assert min(took) < 0.05, "a tenth of that on an idle machine"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_encoded_can_be_decoded(plain: Any) -> None:
    msgspec.json.decode(encoded(plain))
    loads(encoded(plain))


@given(JSON, JSON, JSON)
def test_nothing_makes_it_raise(id_: Any, items: Any, inner: Any) -> None:
    found, _ = read(
        encoded({"id": id_, "items": items, "inner": inner, "index": id_, "raw": items})
    )
    assert found is not None


def test_halves_of_a_character() -> None:
    assert well_formed("abc") == "abc"
    assert well_formed("é😀") == "é😀"
    assert well_formed("\ud83d\ude00") == "😀"
    assert well_formed("a\ud83d") == "a\ufffd"
    assert (
        encoded({"\ud83d": ["\ude00", 2**70]})
        == b'{"\xef\xbf\xbd":["\xef\xbf\xbd",1180591620717411303424]}'
    )


def test_arguments_are_a_text_or_its_json() -> None:
    assert [json_of(given) for given in (None, "", '{"a":1}', {"a": 1}, [1], 7)] == [
        "",
        "",
        '{"a":1}',
        '{"a":1}',
        "[1]",
        "7",
    ]


@pytest.mark.parametrize(
    ("source", "usage"),
    [
        (b'{"garbage, "usage" : {"input_tokens":1}}', b'{"input_tokens":1}'),
        (b'{"usage":{"x_tokens":1}} {"usage":null} {"usage":{"a":1}', b'{"x_tokens":1}'),
        (b'{"text":"\\"usage\\":{\\"input_tokens\\":1}"', b""),
        (b'{"usage":[1]}', b""),
        (b'{"usage":{"input_tokens":', b""),
        (b"", b""),
        (
            b'{{"usage":{"tokens":%b,"x":"\\ud83d"}}' % (b"9" * 400),
            b'{"tokens":null,"x":"\xef\xbf\xbd"}',
        ),
    ],
)
def test_usage_is_found_in_what_is_unreadable(source: bytes, usage: bytes) -> None:
    assert bytes(usage_in(source)) == usage


def test_the_search_for_usage_is_bounded() -> None:
    began = time.process_time()
    assert usage_in(b'"usage":{"a":1},' * 500_000) == ABSENT
    assert usage_in(b'"usage"' + b" " * 4_000_000) == ABSENT
    crowd = b'{"usage":{"tokens":1,"x":[%b]}}' % b",".join([b"{}"] * 5_000)
    assert usage_in(b"{" + crowd * 8) == ABSENT
    assert usage_in(b'{"usage":{"input_tokens":1,"x":"%b"}}' % (b"x" * MAX_VALUE)) == ABSENT
    assert time.process_time() - began < 0.5
    assert lenient.MAX_LENIENT < 1024 * 1024
