"""SQL of both databases that SQLAlchemy has a statement of its own for in each."""

from typing import Any

import sqlalchemy as sa


def insert(dialect: str, table: sa.Table) -> Any:
    """An INSERT that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    # Only here: it takes longer to load than most queries take.
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)
