"""Validation of tool schemas: a schema that a provider rejects fails the whole request.

They come from servers of any quality. What can be repaired is: no alternatives at the top (see
`folding`), a property list even where it is empty, and items in every array. That may tell a model
less than the server did, which checks its arguments itself.
"""

import hashlib
import re
from threading import Lock
from typing import Any

from cachetools import LRUCache
from jsonschema.validators import Draft202012Validator

from aibridged.mcp.folding import folded

MAX_SCHEMA_BYTES = 64 * 1024
_REMEMBERED = 8192
_REFUSED_AT_THE_TOP = ("anyOf", "oneOf", "allOf", "not", "enum", "const")
_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}", re.ASCII)  # Anthropic's rule


def mended(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without what providers are known to refuse, and with what they require.

    Raises RecursionError.
    """
    kept = {
        name: _mended(value)
        for name, value in folded(schema).items()
        if name not in _REFUSED_AT_THE_TOP
    }
    return {**kept, "properties": kept.get("properties", {})}


def _mended(value: Any) -> Any:
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _mended(each) for name, each in value.items()}
    kind = kept.get("type")
    if kind == "array" or (isinstance(kind, list) and "array" in kind):
        kept.setdefault("items", {})  # the same as its absence
    return kept


class Schemas:
    """Checks schemas, each once: it takes milliseconds, and every bridge lists the same tools."""

    def __init__(self) -> None:
        self._known: LRUCache[bytes, str | None] = LRUCache(_REMEMBERED)
        self._lock = Lock()

    def fault(self, schema: dict[str, Any], encoded: bytes) -> str | None:
        """What is wrong with a repaired schema, given as a value and as JSON; None for nothing.

        Blocks for milliseconds where the schema is new. Thread-safe.
        """
        if len(encoded) > MAX_SCHEMA_BYTES:
            return f"its schema is larger than {MAX_SCHEMA_BYTES} bytes"
        digest = hashlib.sha256(encoded).digest()
        with self._lock:
            if digest in self._known:
                return self._known[digest]
        fault = _fault(schema)
        with self._lock:
            self._known[digest] = fault
        return fault


def _fault(schema: dict[str, Any]) -> str | None:
    if schema.get("type") != "object":
        return "its schema is not of type object"
    try:
        valid = Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(schema)
    except RecursionError:
        valid = False
    if not valid:
        return "its schema is not a valid JSON Schema (draft 2020-12)"
    for name in schema["properties"]:
        if not _PROPERTY.fullmatch(name):
            return f"Anthropic's API rejects its property name {name[:64]!r}"
    return None
