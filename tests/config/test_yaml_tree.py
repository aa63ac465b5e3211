"""YAML mappings as JSON."""

import json
from typing import Any

import pytest
import yaml

from aibridged.config.yaml_tree import NotJsonError, tree_as_json


def read(text: str) -> Any:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return json.loads(tree_as_json(node))


def test_values_keep_their_types() -> None:
    text = "{a: 1, b: 1.5, c: true, d: null, e: '1', f: [x, {g: 2026-01-01}], h: 0x10}"
    assert read(text) == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": "1",
        "f": ["x", {"g": "2026-01-01"}],
        "h": 16,
    }


def test_an_alias_stands_for_its_value() -> None:
    assert read("{a: &x [1], b: *x}") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    "text",
    [
        "{a: 1, a: 2}",
        "{[a]: 1}",
        "{x: &x {b: 1}, a: {<<: *x}}",
        "{a: " + "[" * 40 + "]" * 40 + "}",
        "\n".join(
            ["a: &a0 [1, 1]", *(f"b{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 20))]
        ),
        "{a: &a [*a]}",
    ],
)
def test_what_json_has_not_is_refused(text: str) -> None:
    with pytest.raises(NotJsonError) as raised:
        read(text)
    assert raised.value.remedy
