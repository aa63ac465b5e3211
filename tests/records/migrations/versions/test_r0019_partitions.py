"""What there is becomes the first partition, uncopied, with all that refers to it."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command

from aibridged.clock import SystemClock
from aibridged.records import migrations, schema
from aibridged.records.database import DatabaseError, database_url, make_engine
from aibridged.records.ids import uuid7

PARENT = "aibridge_interceptions"
LONG_AGO = datetime(2019, 5, 1, tzinfo=UTC)
NOT_OF_A_TIME = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
OWNED = [schema.metadata.tables[name] for name in schema.PARTITIONED[1:]]
VALUES = {sa.Text: "x", sa.BigInteger: 1, sa.Integer: 1, sa.Boolean: False, sa.LargeBinary: b""}


@pytest.fixture
def engine(empty, tmp_path):
    made = make_engine(database_url(tmp_path, empty[1]))
    _upgrade(made, "0018")
    yield made
    made.dispose()


def _upgrade(engine, revision):
    config = migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _fill(engine, *times):
    """An interception with a row of each table at each time; returns the ids."""
    ids = [uuid7(at) if isinstance(at, datetime) else at for at in times]
    at = SystemClock().wall()
    with engine.begin() as connection:
        for id in ids:
            made = {"id": id, "started_at": at, "ended_at": at, "client_session_id": "s"}
            connection.execute(schema.interceptions.insert(), _row(schema.interceptions, made))
            for table in OWNED:
                own = {"id": uuid7(at), "usage_id": uuid7(at), "interception_id": id}
                own.update(dict.fromkeys(("created_at", "revised_at"), at))
                connection.execute(table.insert(), _row(table, own))
    return ids


def _row(table, values):
    """The values, and some for the other columns that need one."""
    kept = {name: value for name, value in values.items() if name in table.c}
    for column in table.c:
        if not column.nullable and column.computed is None and column.name not in kept:
            kept[column.name] = next(VALUES[kind] for kind in VALUES if _is(column, kind))
    return kept


def _is(column, kind):
    return isinstance(column.type, kind) or (kind is sa.Text and isinstance(column.type, sa.String))


def _counts(engine):
    with engine.connect() as connection:
        return {
            name: connection.scalar(sa.text(f"SELECT count(*) FROM {name}"))
            for name in schema.PARTITIONED
        }


def _places(engine):
    query = sa.text(f"SELECT id, tableoid::regclass::text AS place FROM {PARENT}")
    with engine.connect() as connection:
        return {
            str(row.id): row.place.removeprefix(f"{PARENT}_") for row in connection.execute(query)
        }


def test_all_rows_are_there_before_and_after(engine):
    now = SystemClock().wall()
    ids = _fill(engine, LONG_AGO, now, now + timedelta(days=90), NOT_OF_A_TIME)
    before = _counts(engine)
    _upgrade(engine, "head")
    assert _counts(engine) == before == dict.fromkeys(schema.PARTITIONED, 4)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            places = _places(engine)
            assert [places[id] for id in ids] == ["earlier", "earlier", "default", "default"]
            [session] = connection.scalars(sa.select(schema.interceptions.c.session_id).distinct())
            assert session == "s", "it is computed in either place"
        connection.execute(schema.interceptions.delete())
    assert _counts(engine) == dict.fromkeys(schema.PARTITIONED, 0)


postgres_only = pytest.mark.parametrize("empty", ["postgres"], indirect=True)


@postgres_only
def test_nothing_is_copied_and_every_index_is_the_one_that_was(engine):
    _fill(engine, SystemClock().wall())
    file = sa.text("SELECT pg_relation_filenode(CAST(:name AS regclass))")
    index = "idx_aibridge_interceptions_started_at"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE INDEX own ON {PARENT} (user_agent)")
        names = (PARENT, "aibridge_user_prompts", index)
        before = [connection.scalar(file, {"name": name}) for name in names]
    _upgrade(engine, "head")
    with engine.connect() as connection:
        names = (f"{PARENT}_earlier", "aibridge_user_prompts_earlier", f"{index}_earlier")
        assert [connection.scalar(file, {"name": name}) for name in names] == before
    inspector = sa.inspect(engine)
    for suffix in ("earlier", "default"):
        for table in schema.PARTITIONED:
            of, partition = (
                len(inspector.get_indexes(name)) for name in (table, f"{table}_{suffix}")
            )
            assert of == partition
    assert {"own", index} <= {each["name"] for each in inspector.get_indexes(PARENT)}


@postgres_only
def test_views_and_rights_are_of_all_partitions(engine):
    """As those of Coder's dashboard, which reads by a role of its own."""
    now = SystemClock().wall()
    _fill(engine, now)
    with engine.begin() as connection:
        for statement in (
            f"CREATE VIEW them WITH (security_barrier=true) AS SELECT id FROM {PARENT}",
            "CREATE VIEW outer_view AS SELECT 'a:b' AS text, count(*) AS count FROM them",
            "CREATE ROLE grafana",
            "GRANT USAGE ON SCHEMA public TO grafana",
            f"GRANT SELECT ON {PARENT} TO grafana",
        ):
            connection.exec_driver_sql(statement)
    try:
        _upgrade(engine, "head")
        _fill(engine, now + timedelta(days=90))
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT * FROM outer_view").one() == ("a:b", 2)
            options = connection.exec_driver_sql(
                "SELECT reloptions FROM pg_class WHERE relname = 'them'"
            )
            assert options.scalar() == ["security_barrier=true"]
            connection.exec_driver_sql("SET ROLE grafana")
            query = f"SELECT count(*) FROM {PARENT}"
            assert connection.exec_driver_sql(query).scalar() == 2
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY grafana")
            connection.exec_driver_sql("DROP ROLE grafana")


@postgres_only
def test_a_materialized_view_is_named_and_nothing_is_changed(engine):
    """It can't be told to read another table."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE MATERIALIZED VIEW stale AS SELECT id FROM {PARENT}")
    with pytest.raises(DatabaseError, match="drop the materialized view stale"):
        migrations.upgrade(engine)
    assert migrations.check(engine).current == "0018"
