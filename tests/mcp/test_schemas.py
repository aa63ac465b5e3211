"""A schema that a provider would refuse is found, once, and whatever it is nothing breaks."""

import json

import pytest

from aibridged.mcp import schemas as schemas_module
from aibridged.mcp.schemas import MAX_SCHEMA_BYTES, Schemas, mended

GOOD = {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}


def fault(schema):
    schema = mended(schema)
    return Schemas().fault(schema, json.dumps(schema).encode())


def nested(depth):
    schema = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        GOOD,
        {"type": "object"},
        {"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/x"}]}}},
        {"type": "object", "oneOf": [{"required": ["a"]}]},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {"b[]": {}}}}},
    ],
)
def test_good_schemas(schema):
    assert fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({}, "its schema is not of type object"),
        ({"type": "string"}, "its schema is not of type object"),
        ({"type": ["object"]}, "its schema is not of type object"),
        (
            {"type": "object", "properties": {"a": {}, "filter[id]": {}}},
            "Anthropic's API rejects its property name 'filter[id]'",
        ),
        (
            {"type": "object", "properties": None},
            "its schema is not a valid JSON Schema (draft 2020-12)",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "text"}}},
            "its schema is not a valid JSON Schema (draft 2020-12)",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": [{}]}}},
            "its schema is not a valid JSON Schema (draft 2020-12)",
        ),
        (
            {"type": "object", "description": "x" * MAX_SCHEMA_BYTES},
            f"its schema is larger than {MAX_SCHEMA_BYTES} bytes",
        ),
    ],
)
def test_schemas_that_a_provider_would_refuse(schema, what):
    assert fault(schema) == what


def test_a_schema_may_be_too_deep():
    with pytest.raises(RecursionError):
        mended(nested(1000))
    deep = nested(250)
    fault = Schemas().fault(deep, json.dumps(deep).encode())
    assert fault == "its schema is not a valid JSON Schema (draft 2020-12)"


def test_each_is_checked_once(monkeypatch):
    checked = []
    monkeypatch.setattr(schemas_module, "_fault", lambda schema: checked.append(schema))
    schemas = Schemas()
    for schema in (GOOD, GOOD, {"type": "object"}, GOOD):
        schemas.fault(schema, json.dumps(schema).encode())
    assert checked == [GOOD, {"type": "object"}]


def test_what_providers_refuse_is_mended_and_nothing_else_is_changed():
    schema = {
        "anyOf": [{"required": ["x"]}],
        "required": ["x"],
        "type": "object",
        "$defs": {"y": {"anyOf": []}, "z": {"type": ["array", "null"]}},
        "n": 1.0,
    }
    shown = mended(schema)
    assert list(shown) == ["required", "type", "$defs", "n", "properties"]
    assert shown["properties"] == {}
    assert shown["$defs"] == {"y": {"anyOf": []}, "z": {"type": ["array", "null"], "items": {}}}


def test_every_array_says_what_is_in_it():
    kept = {"type": "array", "items": {"type": "string"}}
    properties = {"a": {"type": "array"}, "b": kept, "type": {"items": [{"type": "array"}]}}
    assert mended({"type": "object", "properties": properties})["properties"] == {
        "a": {"type": "array", "items": {}},
        "b": kept,
        "type": {"items": [{"type": "array", "items": {}}]},
    }
    assert properties["a"] == {"type": "array"}
