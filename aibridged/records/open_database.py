"""Opens the configured database: to use it, or to read it without making or changing anything."""

import os

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aibridged.config.options import Settings
from aibridged.config.private_file import make_private_directory
from aibridged.records import migrations, schema
from aibridged.records.database import DatabaseError, Engine, database_url, make_engine


def make_database(settings: Settings) -> Engine:
    """The configured database, with its schema unchecked.

    Raises:
        DatabaseError: it can't be created or used.
    """
    try:
        make_private_directory(settings.state_dir)
    except OSError as error:
        raise DatabaseError(
            f"The state directory {settings.state_dir} can't be created: {error.strerror}.",
            "Choose another --state-dir.",
        ) from None
    return make_engine(_url(settings))


def existing_database(settings: Settings) -> Engine:
    """The configured database, with its schema unchecked, if there is one.

    Raises:
        DatabaseError: there is none, or it can't be used.
    """
    file = _url(settings).database or ""
    if settings.postgres_url is None and not os.path.lexists(file):
        _check_reach(settings)
        raise DatabaseError(
            f"There is no database at {file}: run `aibridged serve` or `aibridged users create` "
            "first, or set --state-dir to the state directory of the daemon."
        )
    return make_database(settings)


def open_database(settings: Settings) -> Engine:
    """The database, migrated to this release's schema. Blocks; errors are `make_database`'s."""
    engine = make_database(settings)
    migrations.upgrade(engine)
    return engine


def open_existing_database(settings: Settings) -> Engine:
    """The same for a database that is there; errors are `existing_database`'s."""
    engine = existing_database(settings)
    migrations.upgrade(engine)
    return engine


def read_database(settings: Settings) -> Engine:
    """The database for queries, which neither make it nor migrate its schema.

    Raises:
        DatabaseError: there is none, it can't be used, or its schema isn't this release's.
    """
    engine = existing_database(settings)
    state = migrations.check(engine)
    if not state.is_current:
        raise DatabaseError(state.demand)
    return engine


def is_used(settings: Settings) -> bool:
    """Whether a daemon has ever used the database, which is there with a current schema."""
    from aibridged.records.spool import SPOOL_FILE

    if settings.postgres_url is None and (settings.state_dir / SPOOL_FILE).exists():
        return True
    try:
        with make_engine(_url(settings)).connect() as connection:
            found = connection.execute(sa.select(schema.interceptions.c.id).limit(1)).first()
    except DBAPIError:
        return True  # nothing can be said
    return found is not None


def _url(settings: Settings) -> sa.URL:
    postgres = settings.postgres_url.reveal() if settings.postgres_url else None
    return database_url(settings.state_dir, postgres)


def _check_reach(settings: Settings) -> None:
    """Raise DatabaseError if the state directory can't be looked into."""
    try:
        os.scandir(settings.state_dir).close()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatabaseError(
            f"The state directory {settings.state_dir} can't be used: {error.strerror}. Run this "
            "as root or as the daemon's user, or choose another --state-dir."
        ) from None
