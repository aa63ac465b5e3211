"""The commands of sign-in as Typer's, for help, the manual and the completions.

`aibridged.login` has them as argparse's, which load faster: `aibridged.__main__` runs those. What
they are made of is the same.
"""

import argparse
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from aibridged.login import command_line


def login_command(name: str) -> Callable[..., None]:
    """The function that Typer makes a command of."""
    command = command_line.BY_NAME[name]
    parser = argparse.ArgumentParser(add_help=False)
    command.add_arguments(parser)
    parameters = [_parameter(action) for action in parser._actions]

    def call(**arguments: Any) -> None:
        sys.exit(command_line.run(command, argparse.Namespace(**arguments), "aibridged"))

    call.__name__ = name.replace("-", "_")
    call.__doc__ = command.help
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _parameter(action: argparse.Action) -> inspect.Parameter:
    is_switch = action.nargs == 0
    more: dict[str, Any] = {"help": action.help}
    if not is_switch:
        more["metavar"] = action.metavar
    if action.choices is not None:
        words = sorted(action.choices)
        more["autocompletion"] = lambda: words
    if not action.option_strings:
        annotation = Annotated[str, typer.Argument(**more)]
        return _keyword(action.dest, annotation, inspect.Parameter.empty)
    option = typer.Option(*action.option_strings, show_default=False, **more)
    if is_switch:
        return _keyword(action.dest, Annotated[bool, option], False)
    return _keyword(action.dest, Annotated[str | None, option], None)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
