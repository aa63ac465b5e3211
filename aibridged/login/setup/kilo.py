"""Kilo Code: OpenCode's plugin, in a folder of its own."""

from collections.abc import Sequence

from .change import Change
from .opencode import plugin
from .target import Target


def plan(target: Target) -> tuple[Sequence[Change], Sequence[str]]:
    """The changes, and what the person has to know."""
    return plugin(target, "kilo")
