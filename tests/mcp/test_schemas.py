"""A schema that a provider would refuse is found, once, and whatever it is nothing breaks."""

import json

import pytest

from aibridged.mcp import schemas as schemas_module
from aibridged.mcp.schemas import MAX_SCHEMA_BYTES, Schemas

GOOD = {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}


def fault(schema):
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
    ],
)
def test_good_schemas(schema):
    assert fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({}, "its schema is not of the type object"),
        ({"type": "string"}, "its schema is not of the type object"),
        ({"type": ["object"]}, "its schema is not of the type object"),
        ({"type": "object", "oneOf": [{}]}, "its schema has oneOf at the top"),
        (
            {"type": "object", "properties": {"a": {"type": "text"}}},
            "its schema is no JSON Schema (draft 2020-12)",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": [{}]}}},
            "its schema is no JSON Schema (draft 2020-12)",
        ),
        (nested(250), "its schema is no JSON Schema (draft 2020-12)"),
        (
            {"type": "object", "description": "x" * MAX_SCHEMA_BYTES},
            f"its schema is larger than {MAX_SCHEMA_BYTES} bytes",
        ),
    ],
)
def test_schemas_that_a_provider_would_refuse(schema, what):
    assert fault(schema) == what


def test_each_is_checked_once(monkeypatch):
    checked = []
    monkeypatch.setattr(schemas_module, "_fault", lambda schema: checked.append(schema))
    schemas = Schemas()
    for schema in (GOOD, GOOD, {"type": "object"}, GOOD):
        schemas.fault(schema, json.dumps(schema).encode())
    assert checked == [GOOD, {"type": "object"}]
