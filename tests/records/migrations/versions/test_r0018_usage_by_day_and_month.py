"""What was summed up before the revision goes, and is summed up again: it lacks the outcomes."""

import sqlalchemy as sa
from alembic import command

from aibridged.records import migrations, schema
from aibridged.records.database import database_url, make_engine
from aibridged.records.migrations import upgrade


def test_nothing_is_taken_for_summed_up(empty, tmp_path, clock):
    engine = make_engine(database_url(tmp_path, empty[1]))
    config = migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0017")
    hours = sa.table("aibridged_summarised_hours", sa.column("hour"), sa.column("is_dirty"))
    hours.c.hour.type = schema.summarised_spans.c.starts_at.type
    with engine.begin() as connection:
        connection.execute(hours.insert(), {"hour": clock.wall(), "is_dirty": False})
    upgrade(engine)
    with engine.connect() as connection:
        for table in (schema.summarised_spans, schema.usage_hours):
            assert connection.execute(sa.select(table)).all() == []
    assert "aibridged_summarised_hours" not in sa.inspect(engine).get_table_names()
    engine.dispose()
