"""Adds up the usage of several answers, whatever the API calls its counts."""

from collections.abc import Mapping
from typing import Any


def add(before: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """Every count of either, those of the same name added; of all else the later word."""
    total = dict(before)
    for name, value in usage.items():
        earlier = total.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            total[name] = add(earlier, value)
        elif _is_count(value) and _is_count(earlier):
            total[name] = earlier + value
        elif value is not None or name not in total:
            total[name] = value
    return total


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
