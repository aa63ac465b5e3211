"""The command tree as data, from Typer: for help, the manual and shell completions."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aibridged.cli.command import HELP_FLAGS
from aibridged.config import kinds
from aibridged.config.declare import Option
from aibridged.config.options import OPTIONS

_SETTINGS = {flag: option for option in OPTIONS for flag in option.flags}


@dataclass(frozen=True)
class Flag:
    """An option of a command. `value` is its value's name in help, "" for a switch.

    `setting` is the row of the table of settings that it comes from, if any.
    """

    names: tuple[str, ...]
    value: str
    help: str
    default: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    repeated: bool = False
    setting: Option | None = None

    @property
    def long(self) -> str:
        return self.names[0]

    @property
    def value_is_optional(self) -> bool:
        """Whether the value is given as --flag=VALUE or left out."""
        return self.setting is not None and self.setting.kind is kinds.BOOL


@dataclass(frozen=True)
class Argument:
    """A positional argument. `value` is its name in help."""

    value: str
    help: str
    choices: tuple[str, ...] = ()
    required: bool = True
    repeated: bool = False


@dataclass(frozen=True)
class Command:
    """A command; `path` is its name below `aibridged`, () for that itself.

    With `commands` it is a group, which `runs` if it can be called without a subcommand.
    """

    path: tuple[str, ...]
    paragraphs: tuple[str, ...]
    flags: tuple[Flag, ...] = ()
    arguments: tuple[Argument, ...] = ()
    commands: tuple["Command", ...] = ()
    runs: bool = True

    @property
    def name(self) -> str:
        return " ".join(self.path)

    @property
    def summary(self) -> str:
        """The first sentence of its help."""
        return self.paragraphs[0].partition(". ")[0].removesuffix(".")

    @property
    def takes_all_settings(self) -> bool:
        given = {flag.setting.name for flag in self.flags if flag.setting}
        return given == {option.name for option in OPTIONS}

    def walk(self) -> Iterator["Command"]:
        """This command and all below it, in the order of help."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read(path: tuple[str, ...], known: Any) -> Command:
    """A Typer command with all below it, without hidden ones."""
    visible = [param for param in known.params if not getattr(param, "hidden", False)]
    options = [param for param in visible if param.param_type_name == "option"]
    arguments = [param for param in visible if param.param_type_name == "argument"]
    below = getattr(known, "commands", {})
    return Command(
        path=path,
        paragraphs=_paragraphs(known.help or ""),
        flags=(*map(_flag, options), Flag(HELP_FLAGS, "", "Show this message and exit.")),
        arguments=tuple(map(_argument, arguments)),
        commands=tuple(
            read((*path, name), command) for name, command in below.items() if not command.hidden
        ),
        runs=not below or known.invoke_without_command,
    )


def _flag(param: Any) -> Flag:
    names = tuple(sorted(param.opts, key=len, reverse=True))
    setting = _SETTINGS.get(names[0])
    if setting is not None:
        return Flag(
            names,
            setting.kind.metavar,
            param.help or setting.help,
            setting.default,
            _words(setting.kind.metavar, setting.kind is kinds.BOOL),
            repeated=setting.kind.many,
            setting=setting,
        )
    return Flag(
        names,
        "" if param.is_flag else param.metavar or param.name.upper(),
        param.help or "",
        _default(param.default),
        _choices(param),
        param.required,
        param.multiple,
    )


def _argument(param: Any) -> Argument:
    return Argument(
        param.metavar or param.name.upper(),
        param.help or "",
        _choices(param),
        param.required,
        param.nargs == -1,
    )


def _choices(param: Any) -> tuple[str, ...]:
    return tuple(str(item.value) for item in param.shell_complete(None, ""))


def _words(metavar: str, boolean: bool) -> tuple[str, ...]:
    """The values of a setting, where its metavar lists them: `token
    coder
    none`."""
    if boolean:
        return "true", "false"
    return tuple(metavar.split("|")) if "|" in metavar else ()


def _default(value: Any) -> str:
    if value is None or value is False or value == [] or callable(value):
        return ""
    return str(value.value if isinstance(value, Enum) else value)


def _paragraphs(help: str) -> tuple[str, ...]:
    """Help without the line breaks of its source."""
    return tuple(" ".join(paragraph.split()) for paragraph in help.split("\n\n"))
