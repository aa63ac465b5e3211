"""The store of users and tokens, for the commands that work on it, and how they answer."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.config.options import OPTIONS

if TYPE_CHECKING:
    from aibridged.identity.tokens import TokenStore

_CONFIG_FLAG = "--config"
# The settings that say which database it is.
_SETTINGS = ("state_dir", "postgres_url")


class Output(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"


OutputFlag = Annotated[
    Output, typer.Option("--output", "-o", metavar="table|json", help="How to print it.")
]


def takes_store(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the open store as its first argument, and the flags that say where it is.

    What can't be done is said in a sentence on stderr, and the exit status is 1.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    parameters = [*own, *(_parameter(flag, metavar, help) for flag, metavar, help in _flags())]

    def call(**arguments: Any) -> None:
        texts = {flag: arguments.pop(_name(flag)) for flag, _, _ in _flags()}
        flags = {flag: text for flag, text in texts.items() if text is not None}
        with _open_store(flags) as store:
            command(store, **arguments)

    call.__name__ = command.__name__
    call.__doc__ = command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def as_json(value: object) -> str:
    """Dataclasses and sequences of them, indented; times in RFC 3339."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def day(at: datetime | None) -> str:
    """A date in a table, in UTC."""
    return f"{at:%Y-%m-%d}" if at else "never"


def minute(at: datetime | None) -> str:
    """A date and time in a table, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"


@contextmanager
def _open_store(flags: Mapping[str, str]) -> "Iterator[TokenStore]":
    from aibridged.clock import SystemClock
    from aibridged.config import load, report
    from aibridged.identity.accounts import IdentityError
    from aibridged.identity.tokens import StoreUnavailableError, TokenStore
    from aibridged.records.database import DatabaseError, database_url, make_engine
    from aibridged.records.migrations import upgrade

    resolution = load.resolve(flags, os.environ)
    settings = resolution.settings
    if settings is None:
        typer.echo(report.problems(resolution), err=True)
        raise typer.Exit(1)
    url = settings.postgres_url.reveal() if settings.postgres_url else None
    try:
        engine = make_engine(database_url(settings.state_dir, url))
        upgrade(engine)
        yield TokenStore(engine, SystemClock())
    except (IdentityError, StoreUnavailableError, DatabaseError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _flags() -> Iterator[tuple[str, str, str]]:
    """Flag, metavar and help of the file of settings and of the settings that matter here."""
    yield _CONFIG_FLAG, "PATH", "The YAML file with settings (CODER_CONFIG_PATH)."
    for option in OPTIONS:
        if option.name in _SETTINGS:
            yield option.flag, option.kind.metavar, f"{option.help} ({option.env})"


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
