"""Decorator that gives a command a subset of the settings, as flags."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.config.options import OPTIONS

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.config.resolution import Resolution

_CONFIG_FLAG = "--config"

STORE = ("state_dir", "postgres_url")
"""The settings that choose the database."""


def takes(
    names: Sequence[str],
    command: Callable[..., None],
    always: Mapping[str, str] | None = None,
    *,
    resolve: "Callable[[Mapping[str, str]], Settings] | None" = None,
) -> Callable[..., None]:
    """Give a command the effective settings as its first argument, and flags for those of `names`.

    `always` are flags, with their texts, that the command implies. `resolve` loads the settings
    from the flags, if not all of them must be right.

    Mistakes in the settings are printed as `serve` prints them, and the exit status is 1.
    """
    load = resolve or settings_of
    own = list(inspect.signature(command).parameters.values())[1:]
    offered = list(_offered(names))
    parameters = [*own, *(_parameter(*each) for each in offered)]

    def call(**arguments: Any) -> None:
        context: typer.Context | None = arguments.get("context")
        if context is not None and context.invoked_subcommand is not None:
            return  # the command is a group's own, and a subcommand was given
        texts = {flag: arguments.pop(_name(flag)) for flag, _, _ in offered}
        given = {flag: text for flag, text in texts.items() if text}
        command(load({**given, **(always or {})}), **arguments)

    call.__name__ = command.__name__
    call.__doc__ = command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def settings_of(flags: Mapping[str, str]) -> "Settings":
    """The effective settings, or the end of the command with the mistakes in them."""
    from aibridged.config import load

    return without_mistakes(load.resolve(flags, os.environ))


def without_mistakes(resolution: "Resolution") -> "Settings":
    """The settings, or the end of the command with the mistakes in them."""
    if resolution.settings is None:
        from aibridged.config import report

        typer.echo(report.problems(resolution), err=True)
        raise typer.Exit(1)
    return resolution.settings


def _offered(names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Flag, metavar and help of the configuration file and of the settings that matter."""
    yield _CONFIG_FLAG, "PATH", "YAML configuration file (CODER_CONFIG_PATH)."
    for option in OPTIONS:
        if option.name in names:
            yield option.flag, option.kind.metavar, option.help


def _parameter(flag: str, metavar: str, help: str) -> inspect.Parameter:
    names: Sequence[str] = (flag, "-c") if flag == _CONFIG_FLAG else (flag,)
    declaration = typer.Option(*names, metavar=metavar, help=help, show_default=False)
    return inspect.Parameter(
        _name(flag),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, declaration],
    )


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
