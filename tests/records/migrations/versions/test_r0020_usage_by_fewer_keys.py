"""What is summed up stays so; that by fewer keys is made of it."""

import sqlalchemy as sa
from alembic import command

from aibridged.records import migrations, schema
from aibridged.records.database import database_url, make_engine
from aibridged.records.migrations import upgrade
from aibridged.records.usage_spans import SPANS


def test_what_is_summed_up_stays(empty, tmp_path, clock):
    engine = make_engine(database_url(tmp_path, empty[1]))
    config = migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0019")
    clean = {"span": "day", "starts_at": clock.wall(), "is_dirty": False}
    with engine.begin() as connection:
        connection.execute(schema.summarised_spans.insert(), clean)
    upgrade(engine)
    with engine.connect() as connection:
        (row,) = connection.execute(sa.select(schema.summarised_spans)).mappings()
        assert row == {**clean, "claimed_by": None, "claimed_until": None}
        for span in SPANS:
            assert connection.execute(sa.select(span.table)).all() == []
    engine.dispose()
