"""Schema migrations with Alembic, in order.

A revision is a file in `versions/`, `r0001_records.py` that of revision 0001. It says all that it
does by itself and imports nothing of the package, so that its behaviour never changes.

Alembic is loaded for upgrades only: every query, and every start of the daemon, checks the schema
first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aibridged.records.database import BEGIN, DatabaseError, place_of, reason_of

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "aibridged_schema_version"

CHANGE_S = 3600.0
"""How long one change to the schema may take, on a database of any size."""

_VERSIONS = Path(__file__).parent / "versions"

_LOCK = 0x61696272696467  # any number of our own


class SchemaState(NamedTuple):
    """The revision that a database has, None for none, and the one that this release needs."""

    current: str | None
    needed: str

    @property
    def is_current(self) -> bool:
        """Whether this release can work with the database."""
        return self.current == self.needed

    @property
    def demand(self) -> str:
        """What is to be done where it can't, as a sentence."""
        return (
            f"The schema is at {self.current or 'nothing'}, but {self.needed} is required: "
            "run `aibridged db upgrade`, or start the daemon."
        )


def upgrade(engine: sa.Engine) -> None:
    """Bring the schema to this release's version. Two that do it at once do it once.

    Raises:
        DatabaseError: the database can't be reached, or is a later release's.
    """
    if check(engine).is_current:
        return
    from alembic import command
    from alembic.util import CommandError

    with _connected(engine) as connection, _locked(connection):
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise _later() from None


def check(engine: sa.Engine) -> SchemaState:
    """The state of the schema; changes nothing.

    Raises:
        DatabaseError: the database can't be reached, or is a later release's.
    """
    known = _known()
    version = sa.table(VERSION_TABLE, sa.column("version_num"))
    with _connected(engine) as connection:
        is_there = sa.inspect(connection).has_table(VERSION_TABLE)
        current = connection.scalar(sa.select(version)) if is_there else None
    if current is not None and current not in known:
        raise _later()
    return SchemaState(current, max(known))


def _later() -> DatabaseError:
    return DatabaseError(
        "The database was made by a later release of aibridged.",
        "Use that one, or the backup from before the upgrade.",
    )


def newest() -> str:
    """The revision that this release needs."""
    return max(_known())


def is_known(revision: str) -> bool:
    """Whether this release can upgrade from the revision, or needs it."""
    return revision in _known()


def _known() -> frozenset[str]:
    return frozenset(path.name[1:5] for path in _VERSIONS.glob("r*.py"))


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


@contextmanager
def _connected(engine: sa.Engine) -> Iterator[sa.Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        said = f"The database can't be used: {reason_of(error)}."
        raise DatabaseError(said, _remedy(engine)) from None


@contextmanager
def _locked(connection: sa.Connection) -> Iterator[None]:
    """A transaction with a lock against concurrent migrations."""
    if connection.dialect.name == "sqlite":
        connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
    with connection.begin():
        if connection.dialect.name == "postgresql":
            driver: Any = connection.connection.driver_connection
            driver.patience = CHANGE_S
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield


def _remedy(engine: sa.Engine) -> str:
    if engine.dialect.name == "sqlite":
        return f"Move {engine.url.database} away, or restore it from a backup."
    where = place_of(engine.url).location
    return f"Check that PostgreSQL runs ({where}), and user and password in --postgres-url."
