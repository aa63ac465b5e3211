"""Folds alternatives at the top of a schema into its properties.

Providers refuse `anyOf`, `oneOf` and `allOf` at the top of a tool's schema. Without them a model
would not know the parameters that only they mention. What is folded allows more than the schema
did, never less: the server itself checks its arguments.
"""

from collections.abc import Iterator
from typing import Any

_MAX_STEPS = 4096  # alternatives and properties that are looked at
_MAX_DEPTH = 8
_MAX_CHOICES = 32
_KINDS = ("allOf", "anyOf", "oneOf")


def folded(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the properties of its alternatives among its own.

    Its own properties stay as they are. One that alternatives describe differently may be either.
    What all of them require is required. Raises RecursionError.
    """
    if not any(kind in schema for kind in _KINDS):
        return schema
    shape = _Folding(schema).shape(schema, 0)
    kept = {**schema, "properties": shape.properties}
    if shape.required:
        kept["required"] = sorted(shape.required)
    return kept


class _Shape:
    """Properties, and which of them are required."""

    def __init__(self, properties: dict[str, Any], required: set[str]) -> None:
        self.properties = properties
        self.required = required


class _Folding:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MAX_STEPS

    def shape(self, schema: dict[str, Any], depth: int) -> _Shape:
        own, required = schema.get("properties"), schema.get("required")
        shape = _Shape(
            dict(own) if isinstance(own, dict) else {},
            {each for each in required if isinstance(each, str)}
            if isinstance(required, list)
            else set(),
        )
        self._left -= len(shape.properties)
        if depth < _MAX_DEPTH:
            for each in self._branches(schema, "allOf", depth):
                self._add(shape, each.properties, ())
                shape.required |= each.required
            for kind in ("anyOf", "oneOf"):
                self._add_either(shape, list(self._branches(schema, kind, depth)))
        return shape

    def _add_either(self, shape: _Shape, branches: list[_Shape]) -> None:
        if not branches:
            return
        own = tuple(shape.properties)
        for each in branches:
            self._add(shape, each.properties, own)
        if self._left > 0:  # otherwise there may be others, which require less
            shape.required |= set.intersection(*(each.required for each in branches))

    def _add(self, shape: _Shape, properties: dict[str, Any], own: tuple[str, ...]) -> None:
        """Add properties; those in `own` are described well enough."""
        for name, described in properties.items():
            if self._left <= 0:
                return
            self._left -= 1
            known = shape.properties.get(name)
            if known is None:
                shape.properties[name] = described
            elif name not in own:
                shape.properties[name] = _either(known, described)

    def _branches(self, schema: dict[str, Any], kind: str, depth: int) -> Iterator[_Shape]:
        branches = schema.get(kind)
        for branch in branches if isinstance(branches, list) else ():
            if self._left <= 0:
                return
            self._left -= 1
            found = self._resolved(branch)
            if found is not None:
                yield self.shape(found, depth + 1)

    def _resolved(self, branch: Any) -> dict[str, Any] | None:
        """The alternative, looked up where it is a reference; None where it is no object's."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(branch, dict) or not isinstance(branch.get("$ref"), str):
                break
            branch = self._referred(branch["$ref"])
        if branch is True:
            return {}
        if not isinstance(branch, dict):
            return None
        type_ = branch.get("type", "object")
        return branch if type_ == "object" or (type(type_) is list and "object" in type_) else None

    def _referred(self, reference: str) -> Any:
        """What a reference leads to; anything where that isn't known."""
        if not reference.startswith("#/"):
            return True
        found: Any = self._root
        for part in reference[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name, True) if isinstance(found, dict) else True
        return found


def _either(known: Any, described: Any) -> Any:
    """The schema of what is either; anything goes where there are too many."""
    if known in ({}, described):
        return known
    is_list = isinstance(known, dict) and known.keys() == {"anyOf"}
    choices = known["anyOf"] if is_list and isinstance(known["anyOf"], list) else [known]
    if described in choices:
        return known
    return {"anyOf": [*choices, described]} if len(choices) < _MAX_CHOICES else {}
