"""What Alembic runs for every command: its connection is handed to it, open and locked."""

from alembic import context

from aibridged.records.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
