"""`aibridged db backup` and `aibridged db restore`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.cells import counted
from aibridged.cli.identity_store import errors_are_told
from aibridged.cli.say import say

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.records.backup import Copy

_MISSING = (
    "Not in it: settings, the keys of providers, mcp-credentials.key, the AI Proxy's CA, logs, and"
    " what requests that are running now will record."
)


def backup(
    settings: "Settings",
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of the backup.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Copy the SQLite database to a file, while the daemon runs, and check the copy.

    It has users, tokens and records. For PostgreSQL, the command says how to use pg_dump.
    """
    from aibridged.clock import SystemClock
    from aibridged.records.backup import back_up

    with _sqlite(settings, _pg_dump, file) as database:
        copy = back_up(database, file, SystemClock(), force=force)
    say(f"Backed up {database} to {file}: {_contents(copy)}.")
    say(_MISSING, err=True)


def restore(
    settings: "Settings",
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `db backup`.")],
) -> None:
    """Replace the SQLite database by a backup, while the daemon is stopped.

    The backup is checked first, and the database that it replaces is kept.
    """
    from aibridged.clock import SystemClock
    from aibridged.config.private_file import make_private_directory
    from aibridged.records.database import DatabaseError
    from aibridged.records.restore import restore

    with _sqlite(settings, _pg_restore, file) as database:
        try:
            make_private_directory(database.parent)
        except OSError as error:
            raise DatabaseError(f"{database.parent} can't be made: {error.strerror}.") from None
        copy, replaced = restore(file, database, SystemClock())
    say(f"Restored {file} to {database}: {_contents(copy)}.")
    if not copy.is_current:
        say("Its schema is an earlier release's: the daemon upgrades it when it starts.")
    if replaced is not None:
        say(f"What it replaces is in {replaced}: delete it when you no longer need it.")
    say(
        "Tokens that were revoked and users that were erased since the backup are back: revoke and"
        " erase them again.",
        err=True,
    )


@contextmanager
def _sqlite(
    settings: "Settings", on_postgres: Callable[["Settings", Path], str], file: Path
) -> Iterator[Path]:
    """The path of the SQLite database; errors are printed, with exit status 1."""
    from aibridged.records.database import database_url

    with errors_are_told():
        if settings.postgres_url is not None:
            say(on_postgres(settings, file), err=True)
            raise typer.Exit(1)
        yield Path(database_url(settings.state_dir).database or "")


def _contents(copy: "Copy") -> str:
    return (
        f"{copy.size / 1e6:,.1f} MB, schema {copy.revision}, {counted(copy.users, 'user')},"
        f" {counted(copy.tokens, 'token')}, {counted(copy.interceptions, 'interception')}"
    )


def _pg_dump(settings: "Settings", file: Path) -> str:
    return (
        "The database is PostgreSQL: back it up with its own tool, while the daemon runs:\n"
        f"  pg_dump --format=custom --file={_quoted(str(file))} --dbname={_target(settings)}\n"
        "It asks for the password, or takes it from PGPASSWORD or ~/.pgpass."
    )


def _pg_restore(settings: "Settings", file: Path) -> str:
    from aibridged.records.partitions import DROP_ALL

    return (
        "The database is PostgreSQL: stop all daemons, and restore it with its own tools:\n"
        f"  psql --dbname={_target(settings)} --command={_quoted(DROP_ALL)}\n"
        "  pg_restore --clean --if-exists --no-owner --single-transaction"
        f" --dbname={_target(settings)} {_quoted(str(file))}\n"
        "They ask for the password, or take it from PGPASSWORD or ~/.pgpass."
    )


def _target(settings: "Settings") -> str:
    """The database as an argument in a shell, without the password."""
    from aibridged.records.database import database_url

    assert settings.postgres_url is not None
    url = database_url(settings.state_dir, settings.postgres_url.reveal())
    plain = url._replace(drivername="postgresql", password=None)
    plain = plain.difference_update_query(["password", "sslpassword"])
    return _quoted(plain.render_as_string(hide_password=False))


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
