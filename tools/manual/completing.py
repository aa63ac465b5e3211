"""What the three shells complete, the same in each.

The scripts know commands, flags and words by heart, so that no shell starts Python for them; they
ask `aibridged complete` only for names, which the running state knows. What a value can be is told
by its name in help: `PATH` is completed with files, `USER` with users.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aibridged.cli.completion import Names
from aibridged.cli.tree import Argument, Flag

NOTE = "Made by `python -m tools.manual`; to change it, change what it is made from."

_NAMES: Mapping[str, Names] = {
    "USER": Names.USERS,
    "TOKEN-ID": Names.TOKENS,
    "INITIATOR": Names.INITIATORS,
    "PROVIDER": Names.PROVIDERS,
    "MODEL": Names.MODELS,
    "CLIENT": Names.CLIENTS,
    "SESSION": Names.SESSIONS,
    "SERVER": Names.SERVERS,
}
_DIRECTORIES = ("DIR", "DIRECTORY")


@dataclass(frozen=True)
class Words:
    """One of these."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Running:
    """A name that the running state knows."""

    kind: Names


@dataclass(frozen=True)
class Files:
    """The path of a file, or of a directory only."""

    directories: bool = False


@dataclass(frozen=True)
class Anything:
    """Nobody can tell: nothing is offered, not even files."""


Values = Words | Running | Files | Anything


def values(of: Flag | Argument) -> Values:
    """What can be offered for the value of a flag, or for an argument."""
    if of.choices:
        return Words(of.choices)
    if of.value in _NAMES:
        return Running(_NAMES[of.value])
    if of.value in _DIRECTORIES or of.value == "PATH":
        return Files(directories=of.value in _DIRECTORIES)
    return Anything()


def brief(help: str) -> str:
    """The first sentence of help, for a list."""
    return help.replace("`", "").partition(". ")[0].removesuffix(".")


def quoted(text: str) -> str:
    """In single quotes, for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"
