"""Schema migrations with Alembic, in order.

A revision is a file in `versions/`. It says all that it does by itself and imports nothing of the
package, so that its behaviour never changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from aibridged.records.database import BEGIN, DatabaseError

VERSION_TABLE = "aibridged_schema_version"

CHANGE_S = 3600.0
"""How long one change to the schema may take, on a database of any size."""

_LOCK = 0x61696272696467  # any number of our own


class SchemaState(NamedTuple):
    """The revision that a database has, None for none, and the one that this release needs."""

    current: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        """Whether this release can work with the database."""
        return self.current == self.needed


def upgrade(engine: sa.Engine) -> None:
    """Bring the schema to this release's version. Two that do it at once do it once.

    Raises:
        DatabaseError: the database can't be reached, or is a later release's.
    """
    with _connected(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise DatabaseError(
                "The database was made by a later release of aibridged: use that one."
            ) from None


def check(engine: sa.Engine) -> SchemaState:
    """The state of the schema; changes nothing.

    Raises:
        DatabaseError: the database can't be reached.
    """
    needed = newest()
    with _connected(engine) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return SchemaState(context.get_current_revision(), needed)


def newest() -> str:
    """The revision that this release needs."""
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    assert needed is not None
    return needed


def is_known(revision: str) -> bool:
    """Whether this release can upgrade from the revision, or needs it."""
    each = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in each)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


@contextmanager
def _connected(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction with a lock against concurrent migrations."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection = connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    driver: Any = connection.connection.driver_connection
                    driver.patience = CHANGE_S
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                yield connection
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        raise DatabaseError(f"The database can't be used: {reason}") from None
