"""Decorator that opens the store of users and tokens for a command, and output helpers."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aibridged.cli.options import STORE, takes

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.identity.tokens import TokenStore


class Output(StrEnum):
    """Output format."""

    TABLE = "table"
    JSON = "json"


OutputFlag = Annotated[
    Output, typer.Option("--output", "-o", metavar="table|json", help="Output format.")
]
Username = Annotated[str, typer.Argument(metavar="USER", help="A username from `users list`.")]


def takes_store(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the open store as its first argument, and flags for the database's location.

    Errors are printed on stderr, with exit status 1.
    """

    @functools.wraps(command)
    def with_store(settings: "Settings", **arguments: Any) -> None:
        with _open_store(settings) as store:
            command(store, **arguments)

    with_store.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]
    return takes(STORE, with_store)


def as_json(value: object) -> str:
    """Dataclasses and sequences of them as indented JSON; times in RFC 3339."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def day(at: datetime | None) -> str:
    """A date in a table, in UTC."""
    return f"{at:%Y-%m-%d}" if at else "never"


def minute(at: datetime | None) -> str:
    """A date and time in a table, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"


@contextmanager
def _open_store(settings: "Settings") -> "Iterator[TokenStore]":
    from aibridged.clock import SystemClock
    from aibridged.identity.tokens import TokenStore
    from aibridged.records.open_database import open_database

    with errors_are_told():
        yield TokenStore(open_database(settings), SystemClock())


@contextmanager
def errors_are_told() -> Iterator[None]:
    """Print errors on stderr, and exit with status 1."""
    from aibridged.identity.tables import StoreUnavailableError
    from aibridged.identity.users import IdentityError
    from aibridged.records.database import DatabaseError

    try:
        yield
    except (IdentityError, StoreUnavailableError, DatabaseError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
