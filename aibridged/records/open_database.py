"""Opens the configured database."""

from aibridged.config.options import Settings
from aibridged.config.private_file import make_private_directory
from aibridged.records.database import DatabaseError, Engine, database_url, make_engine
from aibridged.records.migrations import upgrade


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
    postgres = settings.postgres_url.reveal() if settings.postgres_url else None
    return make_engine(database_url(settings.state_dir, postgres))


def open_database(settings: Settings) -> Engine:
    """The database, migrated to this release's schema. Blocks; errors are `make_database`'s."""
    engine = make_database(settings)
    upgrade(engine)
    return engine
