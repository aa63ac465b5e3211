"""The scanner finds what a decoder finds, takes small steps, and counts what it meets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.outline import (
    KEPT_ELEMENTS,
    MAX_BLANKS,
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_MEMBERS,
    MAX_NUMBER,
    NotJsonError,
    Outline,
    Span,
    TooComplexError,
    run,
)
from tests.json_values import JSON_VALUES, NAMES


@given(
    st.dictionaries(NAMES, JSON_VALUES, max_size=5),
    st.booleans(),
    st.sampled_from([None, 0, 3]),
    st.sampled_from(["", " ", "\n\t\r "]),
)
def test_every_value_stands_where_it_is_said_to(
    value: dict[str, Any], ascii_only: bool, indent: int | None, blanks: str
) -> None:
    text = blanks + json.dumps(value, ensure_ascii=ascii_only, indent=indent) + blanks
    outline = Outline(text.encode())
    members = run(outline.whole())
    assert {name: json.loads(outline.source[slice(*at)]) for name, at in members.items()} == value
    for name, inner in value.items():
        if isinstance(inner, list):
            elements = run(outline.elements(members[name]))
            assert [json.loads(outline.source[slice(*at)]) for at in elements] == inner
        if isinstance(inner, dict):
            assert run(outline.members(members[name])).keys() == inner.keys()


def test_of_a_name_that_comes_twice_the_last_counts() -> None:
    members = run(Outline(b'{"a":1,"\\u0061":2}').whole())
    assert members == {"a": Span(16, 17)}
    assert members.repeated
    assert not run(Outline(b'{"a":1,"b":2}').whole()).repeated


NOT_JSON = [
    b"",
    b"[]",
    b"7",
    b"{",
    b'{"a"',
    b'{"a":',
    b'{"a":1',
    b'{"a":1,',
    b'{"a":1,}',
    b'{,"a":1}',
    b'{"a":1 "b":2}',
    b'{"a" 1}',
    b'{"a":}',
    b"{a:1}",
    b'{"a":1}}',
    b'{"a":1} x',
    b'{"a":[1,]}',
    b'{"a":[,1]}',
    b'{"a":[1 2]}',
    b'{"a":[1}',
    b'{"a":{"b":[}]}',
    b'{"a":[{]}',
    b'{"a":{"b":1,}}',
    b'{"a":{"b"}}',
    b'{"a":{"b":}}',
    b'{"a":{1:2}}',
    b'{"a":"x}',
    b'{"a":"\\"}',
    b'{"a":"' + b"x" * 5000 + b'\\"}',
    b'{"a":"' + b"x" * 5000 + b"\\",
    b'{"a":01}',
    b'{"a":+1}',
    b'{"a":1.}',
    b'{"a":.5}',
    b'{"a":1e}',
    b'{"a":-}',
    b'{"a":NaN}',
    b'{"a":True}',
    b'{"a":nul}',
    b'{"a":[tru]}',
    b"{'a':1}",
    b"\xef\xbb\xbf{}",
]


@pytest.mark.parametrize("source", NOT_JSON)
def test_what_is_not_json_is_refused(source: bytes) -> None:
    with pytest.raises(NotJsonError):
        run(Outline(source).whole())


@given(st.lists(st.sampled_from([*'{}[],:"\\ 01ate', '"a":', "true", "[]", '"x"'])))
def test_it_accepts_what_a_decoder_accepts(pieces: list[str]) -> None:
    source = "".join(pieces)
    try:
        is_object = isinstance(json.loads(source), dict)
    except ValueError:
        is_object = False
    try:
        run(Outline(source.encode()).whole())
    except NotJsonError:
        # Escapes aren't looked into.
        assert not is_object
    else:
        assert is_object or "\\" in source


LARGE = 100_000


@pytest.mark.parametrize(
    "value",
    [
        b'"' + b"x" * LARGE + b'"',
        b'"' + b'\\"' * LARGE + b'"',
        b'"' + b"\\\\" * LARGE + b'"',
        b'"' + b"x" * 65_535 + b"\\\\" * 3 + b'"',
        b'"' + b"x" * 65_534 + b'\\"' * 3 + b'"',
        b'"' + "é".encode() * LARGE + b'"',
        b"[" + b"0," * LARGE + b"0]",
        b'["' + b'","' * LARGE + b'"]',
        b"{" + b'"a":0,' * LARGE + b'"b":0}',
        b'["' + b'a\\n","' * LARGE + b'", {"b":[1,{}]} ,[[]], "c"]',
        b"[" + b'"' + b"x" * LARGE + b'",' + b"1]",
    ],
)
def test_what_is_larger_than_a_window(value: bytes) -> None:
    source = b'{"a":%b , "b":[%b,7]}' % (value, value)
    outline = Outline(source)
    members = run(outline.whole())
    assert source[slice(*members["a"])] == value
    assert [source[slice(*at)] for at in run(outline.elements(members["b"]))] == [value, b"7"]


@pytest.mark.parametrize(
    ("value", "least"),
    [
        (b'"' + b"\\n" * 5_000_000 + b'"', 100),
        (b"[" + b"0," * 5_000_000 + b"0]", 100),
        (b"[" + b"{}," * 200_000 + b"0]", 300),
        (b'["' + b'","' * 2_000_000 + b'"]', 100),
    ],
)
def test_it_stops_often(value: bytes, least: int) -> None:
    outline = Outline(b'{"a":%b}' % value)
    assert sum(1 for _ in outline.whole()) > least


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("fitting", "more", "sentence"),
    [
        (nested(MAX_DEPTH), nested(MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels"),
        (
            b"[" + b"[]," * (MAX_CONTAINERS - 2) + b"[]]",
            b"[" + b"[]," * (MAX_CONTAINERS - 1) + b"[]]",
            f"more than {MAX_CONTAINERS} arrays and objects",
        ),
        (b"1" * (MAX_NUMBER - 1), b"1" * MAX_NUMBER, f"more than {MAX_NUMBER} characters"),
        (
            b" " * (MAX_BLANKS - 1) + b"1",
            b" " * MAX_BLANKS + b"1",
            f"more than {MAX_BLANKS} bytes of white space",
        ),
    ],
)
def test_bounds(fitting: bytes, more: bytes, sentence: str) -> None:
    run(Outline(b'{"a":%b}%b' % (fitting, b" " * 3 * MAX_BLANKS)).whole())
    with pytest.raises(TooComplexError, match=sentence):
        run(Outline(b'{"a":%b}' % more).whole())


def test_members_and_elements_are_bounded() -> None:
    fields = b",".join(b'"%d":0' % number for number in range(MAX_MEMBERS))
    assert len(run(Outline(b"{%b}" % fields).whole())) == MAX_MEMBERS
    with pytest.raises(TooComplexError, match=f"more than {MAX_MEMBERS} fields"):
        run(Outline(b'{%b,"x":0}' % fields).whole())

    outline = Outline(b'{"a":[%b]}' % b",".join([b"7"] * MAX_ELEMENTS))
    elements = run(outline.elements(run(outline.whole())["a"]))
    assert len(elements) == KEPT_ELEMENTS
    assert outline.source[slice(*elements[-1])] == b"7"
    outline = Outline(b'{"a":[%b]}' % b",".join([b"7"] * (MAX_ELEMENTS + 1)))
    with pytest.raises(TooComplexError, match=f"more than {MAX_ELEMENTS} elements"):
        run(outline.elements(run(outline.whole())["a"]))


def test_a_long_name_is_no_name_that_is_looked_for() -> None:
    members = run(Outline(b'{"%b":1,"b":2}' % (b"x" * 300)).whole())
    assert "b" in members
    assert len(members) == 2
    assert all(len(name) < 20 for name in members)
