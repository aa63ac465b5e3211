"""SQLite's database with the schema, to be copied: migrating one takes longer than most tests."""

import os
import tempfile
from functools import cache
from pathlib import Path

from aibridged.records.database import DATABASE_FILE, database_url, make_engine
from aibridged.records.migrations import upgrade


def migrate(state_dir: Path) -> None:
    """Put a migrated database, which is empty, into a state directory that has none."""
    file = os.open(state_dir / DATABASE_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "wb") as opened:
        opened.write(_template())


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        engine = make_engine(database_url(Path(directory)))
        upgrade(engine)
        engine.dispose()
        return (Path(directory) / DATABASE_FILE).read_bytes()
