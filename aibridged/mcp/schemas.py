"""Whether a provider would take a tool's schema: one that it refuses fails the whole request."""

import hashlib
from typing import Any

from cachetools import LRUCache
from jsonschema.validators import Draft202012Validator

MAX_SCHEMA_BYTES = 64 * 1024
_REMEMBERED = 8192
# Anthropic takes none of these at the top of a schema.
_NOT_AT_THE_TOP = ("anyOf", "oneOf", "allOf")


class Schemas:
    """Checks schemas, each once: it takes milliseconds, and every bridge lists the same tools."""

    def __init__(self) -> None:
        self._known: LRUCache[bytes, str | None] = LRUCache(_REMEMBERED)

    def fault(self, schema: dict[str, Any], encoded: bytes) -> str | None:
        """What is wrong with a tool's input schema, given as a value and as JSON; None for nothing.

        Blocks for milliseconds where the schema is new. May be called from any thread.
        """
        if len(encoded) > MAX_SCHEMA_BYTES:
            return f"its schema is larger than {MAX_SCHEMA_BYTES} bytes"
        digest = hashlib.sha256(encoded).digest()
        try:
            return self._known[digest]
        except KeyError:
            fault = self._known[digest] = _fault(schema)
            return fault


def _fault(schema: dict[str, Any]) -> str | None:
    if schema.get("type") != "object":
        return "its schema is not of the type object"
    for keyword in _NOT_AT_THE_TOP:
        if keyword in schema:
            return f"its schema has {keyword} at the top"
    try:
        valid = Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(schema)
    except RecursionError:
        valid = False
    return None if valid else "its schema is no JSON Schema (draft 2020-12)"
