"""Result of loading the settings: each value with its source, and all mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aibridged.config.options import Settings


@dataclass(frozen=True)
class Source:
    """Where a value came from: the name of a flag, variable or credential, or `file:line`."""

    kind: Literal["flag", "environment", "credential", "file", "default"]
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.kind


DEFAULT = Source("default")


@dataclass(frozen=True)
class Value:
    """An effective value. `text` is ready to be shown, `data` to be encoded: secrets are masked."""

    name: str
    group: str
    text: str
    data: Any
    source: Source


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, where it is, and how to mend it."""

    where: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Resolution:
    """`settings` is None where there are mistakes: nothing may run on half of a configuration."""

    settings: Settings | None
    values: Sequence[Value]
    mistakes: Sequence[Mistake]
    warnings: Sequence[str]
