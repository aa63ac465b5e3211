"""Result of loading the settings: each value with its source, and all mistakes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aibridged.config.options import Settings


@dataclass(frozen=True)
class Source:
    """A value's source: the name of a flag, variable or credential, or `file:line`."""

    kind: Literal["flag", "environment", "credential", "file", "default"]
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.kind


DEFAULT = Source("default")


@dataclass(frozen=True)
class Value:
    """An effective value. `text` is for people, `data` for encoding; both mask secrets."""

    name: str
    group: str
    text: str
    data: Any
    source: Source


@dataclass(frozen=True)
class Mistake:
    """A configuration error: what is wrong, where, and the remedy.

    What follows a line break in the remedy is a command.
    """

    where: str
    what: str
    remedy: str


class StartError(Exception):
    """What keeps the daemon from starting: a sentence on what is wrong, and the remedy."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".rstrip())
        self.what = what
        self.remedy = remedy

    def as_mistake(self, where: str) -> Mistake:
        """The same as a mistake of the setting `where`."""
        return Mistake(where, self.what.rstrip("."), self.remedy)


@dataclass(frozen=True)
class Resolution:
    """`settings` is None if there are mistakes: nothing runs on half a configuration.

    `overlooked` are the mistakes in settings that a command doesn't need, by setting.
    """

    settings: Settings | None
    values: Sequence[Value]
    mistakes: Sequence[Mistake]
    warnings: Sequence[str]
    overlooked: Mapping[str, Sequence[Mistake]] = field(default_factory=dict)
