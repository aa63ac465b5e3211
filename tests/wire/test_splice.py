import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aibridged.wire.outline import MAX_MEMBERS
from aibridged.wire.splice import Fields, Growing, UnsplittableError, is_empty_array
from tests.json_values import JSON_VALUES

SPACE = st.text(" \t\n\r", max_size=3)


@st.composite
def objects(draw):
    """A JSON object as text with white space of any kind, and its value."""
    value = draw(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
    ascii_only = draw(st.booleans())
    indent = draw(st.sampled_from([None, 0, 2]))

    def text(inner):
        return json.dumps(inner, ensure_ascii=ascii_only, indent=indent)

    pairs = [
        f"{draw(SPACE)}{text(key)}{draw(SPACE)}:{draw(SPACE)}{text(inner)}{draw(SPACE)}"
        for key, inner in value.items()
    ]
    return f"{draw(SPACE)}{{{draw(SPACE)}{','.join(pairs)}}}{draw(SPACE)}".encode(), value


@given(objects())
def test_every_value_stands_where_it_is_said_to(drawn):
    source, value = drawn
    fields = Fields(source)
    for name, inner in value.items():
        start, end = fields.spans[name]
        assert json.loads(source[start:end]) == inner
        assert name in fields
    assert "no such name" not in fields or "no such name" in value


@given(objects(), st.data())
def test_without_what_was_put_in_it_is_the_original(drawn, data):
    source, value = drawn
    fields = Fields(source)
    arrays = sorted(name for name, inner in value.items() if isinstance(inner, list))
    name = data.draw(st.sampled_from([*arrays, "new field"]))
    edit = fields.prepend(name, b"1,2")
    edited = fields.edited(edit)
    assert (
        edited[: edit.start] + edited[edit.start + len(edit.text) :]
        == source[: edit.start] + source[edit.start :]
    )
    assert edit.start == edit.end
    assert json.loads(edited) == {**value, name: [1, 2, *value.get(name, [])]}


@given(objects(), JSON_VALUES, st.data())
def test_a_field_is_put_in_place_and_nothing_else_changes(drawn, inner, data):
    source, value = drawn
    fields = Fields(source)
    name = data.draw(st.sampled_from([*sorted(value), "new"]).filter(lambda n: n.isascii()))
    edit = fields.put(name, json.dumps(inner).encode())
    if name in value:
        assert edit[:2] == fields.spans[name]
    edited = fields.edited(edit)
    assert edited.startswith(source[: edit.start])
    assert edited.endswith(source[edit.end :])
    if name in value or '"' not in name:
        assert json.loads(edited) == {**value, name: inner}


def test_several_edits_in_any_order():
    fields = Fields(b'{"a": 1, "b" :[ ], "c":{}}')
    edits = [fields.prepend("b", b"9"), fields.put("a", b"2"), fields.put("n", b"0")]
    edits.append(fields.put("m", b"5"))
    assert fields.edited(*edits) == b'{"n":0,"m":5,"a": 2, "b" :[9 ], "c":{}}'


@given(objects(), JSON_VALUES, st.data())
def test_the_places_move_along_with_what_is_edited(drawn, inner, data):
    source, value = drawn
    fields = Fields(source)
    assume(value)  # two fields that are put into an empty object would lack a comma
    array = next((name for name in value if isinstance(value[name], list)), "a list")
    put = {name: inner for name in value if name != array and name.isascii()} | {"new": 2}
    edits = [fields.put(name, json.dumps(new).encode()) for name, new in put.items()]
    edited = fields.edit(fields.prepend(array, b"1,2"), *edits)
    assert edited.spans == Fields(edited.source).spans


def test_null_is_as_good_as_missing():
    fields = Fields(b'{"tools":null}')
    assert fields.raw("tools") is None
    assert fields.raw("more") is None
    assert fields.edited(fields.prepend("tools", b"1")) == b'{"tools":[1]}'


def test_what_is_put_into_an_empty_object_needs_no_comma():
    fields = Fields(b"{ }")
    assert fields.edited(fields.put("a", b"1")) == b'{"a":1 }'


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"[]",
        b'"{}"',
        b"{",
        b'{"a":1,}',
        b'{"a":1} x',
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":[1],"b":2,"a":[1]}',
        b"\xff",
    ],
)
def test_what_is_no_object_or_names_a_key_twice_is_refused(source):
    with pytest.raises(UnsplittableError):
        Fields(source)


def test_more_fields_than_a_request_has_are_not_looked_at():
    fields = b",".join(b'"f%d":1' % number for number in range(MAX_MEMBERS + 1))
    with pytest.raises(UnsplittableError):
        Fields(b"{%b}" % fields)


@pytest.mark.parametrize(("raw", "empty"), [(b"[]", True), (b"[ \n]", True), (b"[1]", False)])
def test_an_array_is_empty(raw, empty):
    assert is_empty_array(b"[" + raw + b"]", 1, 1 + len(raw)) is empty


def test_items_come_at_the_end_and_all_else_stays():
    body = b'{ "messages" : [ {"a":1.0} ] , "x":[1]}'
    growing = Growing(Fields(body), "messages")
    once = growing.append([b"2", b"3"])
    assert once == b'{ "messages" : [ {"a":1.0} ,2,3] , "x":[1]}'
    assert growing.append([b"4"]) == b'{ "messages" : [ {"a":1.0} ,2,3,4] , "x":[1]}'


def test_an_empty_array_grows_too():
    growing = Growing(Fields(b'{"input":[ ]}'), "input")
    assert json.loads(growing.append([b"1", b"2"])) == {"input": [1, 2]}
