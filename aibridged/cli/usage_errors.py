"""Wrong usage of a command, in the words and the layout of mistakes in the settings."""

import difflib
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from aibridged.config.resolution import Mistake

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What Typer raises for wrong usage."""

# What people try, and what it is called here: the first one that the group has is suggested.
_SYNONYMS = {
    "start": ("serve",),
    "run": ("serve",),
    "server": ("serve",),
    "daemon": ("serve",),
    "check": ("check-config",),
    "config": ("check-config",),
    "validate": ("check-config",),
    "configtest": ("check-config",),
    "init": ("sample-config",),
    "logs": ("tail",),
    "stats": ("usage",),
    "requests": ("interceptions",),
    "health": ("healthcheck",),
    "ca": ("init-ca",),
    "add": ("create", "set"),
    "new": ("create",),
    "rm": ("delete", "revoke", "remove"),
    "remove": ("delete", "revoke"),
    "delete": ("revoke", "remove"),
    "revoke": ("delete", "suspend"),
    "ls": ("list",),
    "get": ("show", "list"),
    "disable": ("suspend",),
    "enable": ("resume",),
    "migrate": ("upgrade",),
    "purge": ("prune",),
}
_OPTION_SYNONYMS = {
    **dict.fromkeys(("--log-level", "--debug", "--loglevel", "-v", "-d"), "--verbose"),
    **dict.fromkeys(
        ("--port", "--host", "--listen", "--bind", "--address", "-p"), "--http-address"
    ),
    **dict.fromkeys(("--data-dir", "--state", "--dir"), "--state-dir"),
    **dict.fromkeys(("--database-url", "--database", "--db"), "--postgres-url"),
    **dict.fromkeys(("--config-file", "--config-path", "--file"), "--config"),
    **dict.fromkeys(("--since", "--after", "--from"), "--started-after"),
    "--started-after": "--since",
    **dict.fromkeys(("--until", "--before", "--to"), "--started-before"),
    **dict.fromkeys(("--json", "--format"), "--output"),
}
# Typer's validation says these.
_THEIR_WORDS = (
    (re.compile(r"Input should be a valid (integer|number).*"), r"this is not a \1"),
    (re.compile(r"Input should be greater than or equal to"), "this must be at least"),
    (re.compile(r"Input should be less than or equal to"), "this must be at most"),
    (re.compile(r"Input should be"), "this must be"),
    (re.compile(r"not a integer"), "not an integer"),
)
_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<words>.*)\)", re.DOTALL)
# Words that are quoted: nothing as long as a key.
_HARMLESS = re.compile(r"[\w.:/=-]{1,20}")
_BOOLEANS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0"})
_TRUE = frozenset({"true", "yes", "on", "1"})


def unknown_command(path: str, name: str, known: Sequence[str]) -> Exception:
    """The error for a command that a group doesn't have."""
    synonym = next((each for each in _SYNONYMS.get(name, ()) if each in known), None)
    near = synonym or _nearest(name, known)
    if name == "help":
        hint = f"Run `{path} --help`, or `{path} COMMAND --help`."
    elif near is not None:
        hint = f"Did you mean `{path} {near}`? `{path} --help` lists all commands."
    else:
        hint = f"`{path} --help` lists all commands."
    error = UsageError(f"there is no command {_quoted(name)}")
    error.remedy = hint  # type: ignore[attr-defined]
    return error


def place(error: Exception, context: Any, args: Sequence[str]) -> None:
    """Note the command and the arguments that it was given: Typer doesn't in every case."""
    given: Any = error
    given.ctx = getattr(error, "ctx", None) or context
    given.given_args = args


def as_mistake(error: Exception) -> "Mistake":
    """The error with its remedy; the remedy of one without its own is the command's help."""
    from aibridged.config.resolution import Mistake

    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "aibridged"
    what, remedy = _told(error, context, path)
    return Mistake(path, what.removesuffix("."), remedy)


def _told(error: Any, context: Any, path: str) -> tuple[str, str]:
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return _unknown_option(error.option_name, context, path)
    if kind == "MissingParameter" and error.param is not None:
        needed = _shown(error.param)
        return f"{needed} is missing", f"`{path} {needed}`; `{path} --help` describes it."
    if kind == "BadOptionUsage":
        # Either a value is missing, or a switch has one.
        params = {name: each for each in context.command.params for name in each.opts}
        if error.option_name in params and not params[error.option_name].is_flag:
            value = params[error.option_name].metavar or "VALUE"
            return f"{error.option_name} has no value", f"Write {error.option_name} {value}."
        return f"{error.option_name} takes no value", f"Write {error.option_name} alone."
    if match := _EXTRA.match(error.message):
        options = {name for each in context.command.params for name in each.opts}
        return _extra(match["words"], getattr(error, "given_args", ()), path, options)
    if isinstance(error, typer.BadParameter):
        # Typer's validation puts the kind of its own error in front.
        message = error.message.removeprefix("Value error, ").rstrip(".")
        for theirs, ours in _THEIR_WORDS:
            message = theirs.sub(ours, message)
        hint = error.param_hint or (_name(error.param) if error.param is not None else "")
        return (f"{hint}: {message}" if hint else message), f"`{path} --help` describes it."
    return error.message, getattr(error, "remedy", f"`{path} --help` describes it.")


def _unknown_option(option: str, context: Any, path: str) -> tuple[str, str]:
    what = f"there is no option {_quoted(option)}"
    known = [name for each in context.command.params for name in each.opts if name[:2] == "--"]
    synonym = _OPTION_SYNONYMS.get(option)
    near = synonym if synonym in known else _nearest(option.replace("_", "-"), [*known, "--help"])
    if near is not None:
        return what, f"Did you mean {near}?"
    if getattr(context.command, "commands", None) and not context.command.invoke_without_command:
        return what, f"Options follow the command: {path} COMMAND {_quoted(option)}."
    return what, f"`{path} --help` lists all options."


def _extra(
    words: str, given: Sequence[str], path: str, options: Collection[str]
) -> tuple[str, str]:
    first = words.split()[0] if words.split() else ""
    at = given.index(first) if first in given else 0
    before = given[at - 1].removesuffix("=true") if at else ""
    if first.lower() in _BOOLEANS and before.startswith("--"):
        value = "true" if first.lower() in _TRUE else "false"
        return f"{before} takes its value after an equals sign", f"Write {before}={value}."
    return (
        f"{_quoted(first)} is one argument too many",
        f"{_meant_as_option(first, options)}Put a value with spaces into quotes; "
        f"`{path} --help` shows what the command takes.",
    )


def _meant_as_option(word: str, options: Collection[str]) -> str:
    """The mend for a user's name that isn't behind its option."""
    if "--user" not in options or _quoted(word) != word:
        return ""
    return f"For a user, write --user {word}. "


def _nearest(name: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _quoted(word: str) -> str:
    """The word where it is as short as a name: what is longer may be a key."""
    start = word.partition("=")[0]
    return start if _HARMLESS.fullmatch(start) or start[:2] == "--" else "…"


def _name(param: Any) -> str:
    return (
        str(param.metavar or param.name) if param.param_type_name == "argument" else param.opts[0]
    )


def _shown(param: Any) -> str:
    """How a required parameter is written."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return f"{param.opts[0]} {param.metavar or 'VALUE'}"
