"""Decorator that opens the store of users and tokens for a command, and output helpers."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aibridged.cli.database import NOTICED, no_use_yet, takes_database
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.cli.columns import View
    from aibridged.config.options import Settings
    from aibridged.identity.tokens import TokenStore
    from aibridged.records.database import Engine


T = TypeVar("T")


class Output(StrEnum):
    """Output format."""

    TABLE = "table"
    JSON = "json"


OutputFlag = Annotated[
    Output, typer.Option("--output", "-o", metavar="table|json", help="Output format.")
]
Username = Annotated[str, typer.Argument(metavar="USER", help="A username from `users list`.")]


class Access(Enum):
    """What a command does to the database; only `CREATE` makes one where there is none."""

    READ = auto()
    CHANGE = auto()
    CREATE = auto()


def takes_store(command: Callable[..., None], access: Access) -> Callable[..., None]:
    """Give a command the open store as its first argument, and flags for the database's location.

    Errors are printed on stderr, with exit status 1.
    """

    @functools.wraps(command)
    def with_store(settings: "Settings", **arguments: Any) -> None:
        with errors_are_told() if access is Access.READ else changing(settings):
            command(store_of(settings, access), **arguments)
            if access is Access.CREATE and (remark := no_use_yet(settings)):
                say(remark, err=True)

    with_store.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]
    return takes_database(with_store, tells=access is not Access.READ)


def as_json(value: object) -> str:
    """Dataclasses and sequences of them as indented JSON; times in RFC 3339."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def show(
    found: "Sequence[T]", view: "View[T]", output: Output, *, nothing: str, data: object = None
) -> None:
    """Print a list: `data`, by default what was found, as JSON; or a table, if that has rows."""
    if output is Output.JSON:
        typer.echo(as_json(found if data is None else data))
    elif found:
        typer.echo(view.table(found))
    else:
        say(nothing, err=True)


def told(value: object, output: Output, sentence: str) -> None:
    """Print what a command has changed as JSON, or the sentence on it."""
    if output is Output.JSON:
        typer.echo(as_json(value))
    else:
        say(sentence)


def opened(settings: "Settings", access: Access) -> "Engine":
    """The database for a command.

    Raises:
        DatabaseError: it isn't there, or can't be used.
    """
    from aibridged.records import open_database

    match access:
        case Access.READ:
            return open_database.read_database(settings)
        case Access.CHANGE:
            return open_database.open_existing_database(settings)
        case Access.CREATE:
            return open_database.open_database(settings)


def store_of(settings: "Settings", access: Access) -> "TokenStore":
    """The store of users and tokens for a command.

    Raises:
        DatabaseError: it isn't there, or can't be used.
    """
    from aibridged.clock import SystemClock
    from aibridged.identity.tokens import TokenStore

    return TokenStore(opened(settings, access), SystemClock())


@contextmanager
def errors_are_told() -> Iterator[None]:
    """Print errors on stderr, and exit with status 1."""
    from aibridged.identity.tables import StoreUnavailableError
    from aibridged.identity.users import IdentityError
    from aibridged.records.database import DatabaseError

    try:
        yield
    except (IdentityError, StoreUnavailableError, DatabaseError) as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None


@contextmanager
def changing(settings: "Settings") -> Iterator[None]:
    """The same for what changes users, tokens or spend limits: running daemons that share a Redis
    are told afterwards."""
    with errors_are_told():
        yield
    if settings.redis_url is None:
        return
    from aibridged.config import extras

    if missing := extras.sentences("redis", f"Redis isn't told, {NOTICED}"):
        say(missing, err=True)
        return
    from aibridged.limits.redis_server import tell_once
    from aibridged.limits.redis_session import place_of, reason_of

    url = settings.redis_url.reveal()
    failures = tell_once(url)
    if failures is not None:
        say(f"Redis is away at {place_of(url)} ({reason_of(failures)}): {NOTICED}.", err=True)
