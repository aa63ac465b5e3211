"""What the three shells complete, the same in each.

The scripts contain commands, flags and words, so that no shell starts Python for them; they call
`aibridged complete` only for names that depend on the running state. The completion of a value
follows from its name in help: `PATH` is completed with files, `USER` with users.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aibridged.cli.completion import Names
from aibridged.cli.tree import Argument, Flag

NOTE = "Made by `python -m tools.manual`; to change it, change what it is made from."

_NAMES: Mapping[str, Names] = {
    "USER": Names.USERS,
    "GROUP": Names.GROUPS,
    "TOKEN-ID": Names.TOKENS,
    "LIMIT-ID": Names.LIMITS,
    "INITIATOR": Names.INITIATORS,
    "PROVIDER": Names.PROVIDERS,
    "MODEL": Names.MODELS,
    "CLIENT": Names.CLIENTS,
    "SESSION": Names.SESSIONS,
    "SERVER": Names.SERVERS,
}
_DIRECTORIES = ("DIR", "DIRECTORY")
_FILES = ("FILE", "PATH")


@dataclass(frozen=True)
class Words:
    """One of several words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Running:
    """A name that depends on the running state."""

    kind: Names


@dataclass(frozen=True)
class Files:
    """The path of a file, or of a directory only."""

    directories: bool = False


@dataclass(frozen=True)
class Anything:
    """Anything: nothing is offered, not even files."""


Values = Words | Running | Files | Anything


def values(of: Flag | Argument) -> Values:
    """The completions of a flag's value, or of an argument."""
    if of.choices:
        return Words(of.choices)
    if of.value in _NAMES:
        return Running(_NAMES[of.value])
    if of.value in _DIRECTORIES or of.value in _FILES:
        return Files(directories=of.value in _DIRECTORIES)
    return Anything()


def brief(help: str) -> str:
    """The first sentence of help, for a list."""
    return help.replace("`", "").partition(". ")[0].removesuffix(".")


def quoted(text: str) -> str:
    """In single quotes, for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"
