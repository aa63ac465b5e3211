"""Flags generated from the table of settings, for commands that take all settings."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from aibridged.cli.command import Command
from aibridged.config.declare import Option
from aibridged.config.flags import CONFIG, FLAGS, joined, spelled_out


class SettingsCommand(Command):
    """A command with every setting as a flag."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(spelled_out(args)))


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every setting as a flag.

    The command gets the given `flags`: texts by flag. They are parsed by the table of settings, so
    that all mistakes are reported at once and in the same words.
    """
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "flags"]
    declared = {_parameter_name(flag): flag for flag in (CONFIG, *FLAGS)}
    parameters = [
        *own,
        _config_parameter(),
        *(_parameter(option, flag) for flag, option in FLAGS.items()),
    ]

    def call(**arguments: Any) -> None:
        flags = {flag: _text(arguments.pop(name)) for name, flag in declared.items()}
        given = {flag: text for flag, text in flags.items() if text is not None}
        command(flags=given, **arguments)

    call.__name__ = command.__name__
    call.__doc__ = command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _config_parameter() -> inspect.Parameter:
    declaration = typer.Option(
        CONFIG,
        "-c",
        metavar="PATH",
        help="YAML configuration file (CODER_CONFIG_PATH); aibridged sample-config prints one.",
    )
    return _keyword("config", Annotated[str | None, declaration])


def _parameter(option: Option, flag: str) -> inspect.Parameter:
    # An alias is a parameter of its own: only so is it detected when both names are given.
    declaration = typer.Option(flag, hidden=flag != option.flag, show_default=False)
    value_type = list[str] if option.kind.many else str
    return _keyword(_parameter_name(flag), Annotated[value_type | None, declaration])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=annotation)


def _parameter_name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _text(value: str | list[str] | None) -> str | None:
    return (joined(value) if value else None) if isinstance(value, list) else value
