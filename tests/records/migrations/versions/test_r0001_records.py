"""The first revision makes the tables of the records, and nothing else."""

import sqlalchemy as sa
from alembic import command

from aibridged.records import migrations
from aibridged.records.database import database_url, make_engine
from aibridged.records.schema import metadata


def test_it_makes_the_records_tables(tmp_path):
    engine = make_engine(database_url(tmp_path))
    with engine.begin() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    made = set(sa.inspect(engine).get_table_names())
    own = {name for name in metadata.tables if name.startswith("aibridge_")}
    assert made == {*own, migrations.VERSION_TABLE}
