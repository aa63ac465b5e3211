"""Checks for all APIs: known fields, and valid tools."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aibridged.fake_provider.answer import InvalidRequestError

_REFUSED_AT_THE_TOP = ("anyOf", "oneOf", "allOf", "not", "enum")


def listed(names: str) -> frozenset[str]:
    """The names in a text, separated by spaces."""
    return frozenset(names.split())


def only(value: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Check that all fields of `value` are known."""
    for name in value:
        if name not in known:
            raise InvalidRequestError(f"{where}{name}: Extra inputs are not permitted")


def names_of_tools(names: Iterable[str], longest: int) -> None:
    """Check that names consist of letters, digits, dashes and underscores, without duplicates."""
    seen = set()
    for name in names:
        if not re.fullmatch(rf"[a-zA-Z0-9_-]{{1,{longest}}}", name):
            raise InvalidRequestError(f"tools: {name!r} is no name of a tool")
        if name in seen:
            raise InvalidRequestError(f"tools: Tool names must be unique, {name} is not")
        seen.add(name)


def schema(value: Any, *, with_properties: bool) -> None:
    """Check that a tool's schema is an object's, without alternatives at its top."""
    if not isinstance(value, dict) or value.get("type") != "object":
        raise InvalidRequestError("tools: schema must have type 'object'")
    for keyword in _REFUSED_AT_THE_TOP:
        if keyword in value:
            raise InvalidRequestError(f"tools: schema must not have {keyword} at the top level")
    if with_properties and "properties" not in value:
        raise InvalidRequestError("tools: object schema missing properties")


def names_of_properties(value: Mapping[str, Any]) -> None:
    """Check the names of a schema's own properties by Anthropic's rule; deeper ones are free."""
    for name in value.get("properties", {}):
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name):
            raise InvalidRequestError("tools: Property keys should match pattern")


def items_of_arrays(value: Any) -> None:
    """Check that every array in a schema has `items`, as OpenAI requires."""
    if isinstance(value, dict):
        if value.get("type") == "array" and "items" not in value:
            raise InvalidRequestError("tools: array schema missing items")
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            items_of_arrays(each)


def answered(calls: Collection[str], results: Collection[str]) -> None:
    """Check that every call has its result, and every result its call."""
    for call in calls:
        if call not in results:
            raise InvalidRequestError(f"No tool output found for function call {call}.")
    for result in results:
        if result not in calls:
            raise InvalidRequestError(f"No tool call found for the result with id {result}.")
