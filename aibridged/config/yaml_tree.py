"""A YAML mapping as JSON, for settings that the gateway only hands on."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

_MAX_NODES = 10_000
_MAX_DEPTH = 32
_TAG = "tag:yaml.org,2002:"


class NotJsonError(ValueError):
    """What `node` has that JSON hasn't, as a sentence; and the remedy."""

    def __init__(self, node: yaml.Node, what: str, remedy: str) -> None:
        super().__init__(what)
        self.node = node
        self.remedy = remedy


def tree_as_json(node: yaml.MappingNode) -> str:
    """The mapping as JSON text; dates stay texts.

    Raises:
        NotJsonError: a key is there twice, or no text; or there are too many values.
    """
    return json.dumps(_Values().of(node))


class _Values:
    """Python values of nodes, which aliases may repeat: so they are counted."""

    def __init__(self) -> None:
        self._left = _MAX_NODES
        self._scalars = yaml.constructor.SafeConstructor()

    def of(self, node: yaml.Node, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            what = f"more than {_MAX_NODES} values, or nested deeper than {_MAX_DEPTH} levels"
            raise NotJsonError(node, what, "Shorten it.")
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, depth))
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, depth + 1) for item in node.value]
        assert isinstance(node, yaml.ScalarNode), "there is no other kind of node"
        return self._scalar(node)

    def _pairs(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, Any]]:
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                what = "a key that is no text, or a merged mapping"
                raise NotJsonError(key, what, "Write the settings out.")
            if key.value in lines:
                what = f"the key {key.value} is on line {lines[key.value]} too"
                raise NotJsonError(key, what, "Remove one of them.")
            lines[key.value] = key.start_mark.line + 1
            yield key.value, self.of(value, depth + 1)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        read = {
            "null": self._scalars.construct_yaml_null,
            "bool": self._scalars.construct_yaml_bool,
            "int": self._scalars.construct_yaml_int,
            "float": self._scalars.construct_yaml_float,
        }.get(node.tag.removeprefix(_TAG))
        try:
            return str(node.value) if read is None else read(node)
        except (ValueError, KeyError, IndexError):
            raise NotJsonError(node, "a value that can't be read", "Put it into quotes.") from None
