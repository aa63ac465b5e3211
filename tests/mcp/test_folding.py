"""Parameters that only alternatives mention are told to the model, and nothing more is required."""

import time

import pytest

from aibridged.mcp import folding
from aibridged.mcp.folding import folded

A, B = {"type": "string"}, {"type": "integer"}


def fold(**schema):
    """Properties and required ones."""
    found = folded({"type": "object", **schema})
    return found["properties"], found.get("required")


def either(*properties, required=()):
    return [{"properties": each, "required": list(required)} for each in properties]


@pytest.mark.parametrize("kind", ["anyOf", "oneOf"])
def test_alternatives(kind):
    assert fold(**{kind: either({"a": A}, {"b": B})}) == ({"a": A, "b": B}, None)
    assert fold(**{kind: either({"a": A}, {"a": B}, {"a": A})}) == ({"a": {"anyOf": [A, B]}}, None)
    assert fold(**{kind: either({"a": A}, {"a": B})}, properties={"a": {"minLength": 1}}) == (
        {"a": {"minLength": 1}},
        None,
    )


def test_what_applies_all_at_once():
    parts = [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}}]
    assert fold(allOf=parts, properties={"c": A}, required=["c"]) == (
        {"c": A, "a": A, "b": B},
        ["a", "c"],
    )


def test_only_what_every_alternative_requires_is_required():
    first = {"properties": {"a": A}, "required": ["a", "kind"]}
    second = {"properties": {"b": B}, "required": ["kind", "b"]}
    assert fold(anyOf=[first, second])[1] == ["kind"]
    assert fold(anyOf=[first, second, True])[1] is None
    assert fold(anyOf=[first, {"type": "null"}, False, 7])[1] == ["a", "kind"]
    assert fold(anyOf=[first, {"$ref": "#/$defs/gone"}])[1] is None
    assert fold(anyOf=[first, {"$ref": "http://elsewhere"}])[1] is None
    assert fold(anyOf=[first, {"type": ["object", "null"]}])[1] is None


def test_references_and_what_is_nested_are_followed():
    defs = {
        "A": {"type": "object", "properties": {"a": A}, "required": ["a"]},
        "x/~y": {"allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": B}}]},
    }
    both = [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/x~1~0y"}]
    assert fold(**{"$defs": defs, "anyOf": both}) == ({"a": A, "b": B}, ["a"])


def test_the_schema_itself_is_not_changed():
    schema = {"anyOf": either({"a": A}, {"a": B}, {"b": A}), "properties": {"c": A}}
    before = repr(schema)
    folded(schema)
    assert repr(schema) == before
    plain = {"type": "object", "properties": {"a": {"anyOf": [A, B]}}}
    assert folded(plain) is plain


@pytest.mark.parametrize(
    "odd", [None, 7, "a", {}, [None], [[]], [{"properties": 7, "required": 7}]]
)
def test_odd_alternatives_are_nothing(odd):
    assert fold(anyOf=odd, allOf=odd) == ({}, None)


def test_references_that_lead_to_themselves_end():
    loop = {"allOf": [{"$ref": "#/$defs/L"}, {"$ref": "#/$defs/L"}], "properties": {"a": A}}
    assert fold(**{"$defs": {"L": loop}, "anyOf": [{"$ref": "#/$defs/L"}]}) == ({"a": A}, None)
    endless = {"L": {"$ref": "#/$defs/L"}}
    assert fold(**{"$defs": endless, "anyOf": [{"$ref": "#/$defs/L"}]})[0] == {}


def test_a_property_with_too_many_shapes_may_be_anything(monkeypatch):
    many = [{"const": number} for number in range(40)]
    assert fold(anyOf=either(*({"a": each} for each in many))) == ({"a": {}}, None)
    assert fold(anyOf=either(*({"a": each} for each in many[:32])))[0] == {
        "a": {"anyOf": many[:32]}
    }


def test_the_work_is_bounded(monkeypatch):
    """Each of eight levels would double it, or multiply it by a thousand."""
    refs = [[{"$ref": f"#/$defs/{level}"}] * 1000 for level in range(8)]
    defs = {str(level): {"anyOf": each, "required": ["a"]} for level, each in enumerate(refs)}
    defs["7"] = {"properties": {f"p{number}": A for number in range(1000)}, "required": ["a"]}
    began = time.thread_time()
    properties, required = fold(**{"$defs": defs, "anyOf": refs[1]})
    assert time.thread_time() - began < 1
    assert required is None  # not all of them were seen
    assert len(properties) <= folding._MAX_STEPS
