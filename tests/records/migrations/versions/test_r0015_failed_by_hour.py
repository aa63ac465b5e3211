"""Hours that were summed up before the revision are summed up again: they lack what failed."""

import sqlalchemy as sa
from alembic import command

from aibridged.records import migrations, schema
from aibridged.records.database import database_url, make_engine
from aibridged.records.migrations import upgrade
from aibridged.records.summarised_hours import HOUR


def test_hours_with_usage_are_dirty(empty, tmp_path, clock):
    engine = make_engine(database_url(tmp_path, empty[1]))
    config = migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0014")
    first, later = clock.wall(), clock.wall() + HOUR
    texts = ("initiator_id", "provider", "provider_name", "model", "client", "credential_kind")
    new = ("failed", "model_failed", "hour", "username", "api_key_id", *texts)
    numbers = {each.name: 1 for each in schema.usage_hours.c if each.name not in new}
    row = {**numbers, **dict.fromkeys(texts, ""), "credential_hint": "", "hour": first}
    with engine.begin() as connection:
        hours = [{"hour": hour, "is_dirty": False} for hour in (first, later)]
        connection.execute(schema.summarised_hours.insert(), hours)
        # The columns that there were: the table's own defaults would name the others.
        names = ", ".join(row)
        binds = (sa.bindparam(name, type_=schema.usage_hours.c[name].type) for name in row)
        statement = sa.text(
            f"INSERT INTO aibridged_usage_hours ({names}) VALUES (:{', :'.join(row)})"
        )
        connection.execute(statement.bindparams(*binds), row)
    upgrade(engine)
    with engine.connect() as connection:
        found = connection.execute(sa.select(schema.summarised_hours)).all()
        failed = connection.scalars(sa.select(schema.usage_hours.c.failed)).all()
    assert {row.hour: row.is_dirty for row in found} == {first: True, later: False}
    assert failed == [0]
    engine.dispose()
