"""The schema is upgraded once, by the first of several daemons, and checked without changes."""

import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from aibridged.records import indexes, schema
from aibridged.records.database import BEGIN, DatabaseError, database_url, make_engine
from aibridged.records.migrations import VERSION_TABLE, SchemaState, _config, check, upgrade


@pytest.fixture
def engine(empty, tmp_path):
    return make_engine(database_url(tmp_path, empty[1]))


def test_an_empty_database_is_brought_up_to_date(engine):
    assert check(engine).current is None
    assert not check(engine).is_current
    upgrade(engine)
    assert check(engine).is_current
    upgrade(engine)
    assert check(engine).is_current


_WITHOUT_PARENT = (
    schema.interceptions,
    schema.stored_objects,
    schema.refusals,
    schema.spend,
    schema.budget_alerts,
    schema.usage_hours,
    schema.usage_days,
    schema.usage_months,
    *schema.usage_days_by.values(),
    *schema.usage_months_by.values(),
    schema.summarised_spans,
    schema.usual_costs,
)


def test_the_migrated_schema_is_the_one_that_the_code_uses(engine):
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                # Identity's tables are its own.
                "include_name": lambda name, kind, _: (
                    kind != "table" or name in schema.metadata.tables
                ),
            },
        )
        assert {each.table for each in indexes.INDEXES} == {schema.interceptions}
        differences = compare_metadata(context, schema.metadata)
    is_partitioned = engine.dialect.name == "postgresql"
    # The foreign keys are the partitions' own, and the primary keys begin with them.
    expected = set(_OF_PARTITIONS if is_partitioned else ())
    assert {(kind, thing.table.name) for kind, thing in differences} == expected
    assert len(differences) == len(expected)
    inspector = sa.inspect(engine)
    for table in schema.metadata.sorted_tables:
        is_part = is_partitioned and table.name in schema.PARTITIONED
        name = f"{table.name}_default" if is_part else table.name
        (key,) = inspector.get_foreign_keys(name) or [None]
        assert (key and key["options"]) == (
            None if table in _WITHOUT_PARENT else {"ondelete": "CASCADE"}
        )


_OF_PARTITIONS = (
    *(("add_fk", name) for name in schema.PARTITIONED[1:]),
    *(("add_index", name) for name in schema.PARTITIONED[1:-1]),
)


def test_indexes_hold_only_what_they_are_for(engine):
    """SQLAlchemy doesn't compare the conditions of partial indexes."""
    upgrade(engine)
    for index in sa.inspect(engine).get_indexes("aibridge_interceptions"):
        dialect = engine.dialect.name
        condition = str(index["dialect_options"][f"{dialect}_where"]).lower()
        assert ("ended_at is not null" in condition) is not index["name"].endswith("_open")
        assert ("'completed'" in condition) is index["name"].endswith("_outcome")


def test_the_state_is_told_without_alembic(engine):
    """Every query asks for it, and Alembic takes longer to load than most queries take."""
    upgrade(engine)
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert check(engine) == SchemaState(head, head)
    program = "import sys, aibridged.records.query; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_the_state_is_told_while_another_process_writes(engine):
    upgrade(engine)
    with engine.connect().execution_options(**{BEGIN: "BEGIN IMMEDIATE"}) as writer:
        writer.execute(sa.delete(schema.stored_objects))
        assert check(engine).is_current


def test_processes_that_start_at_once_upgrade_once(empty, engine):
    script = (
        "import sys; from pathlib import Path\n"
        "from aibridged.records.database import database_url, make_engine\n"
        "from aibridged.records.migrations import upgrade\n"
        "sys.stdin.read(1)\n"
        "upgrade(make_engine(database_url(Path(sys.argv[1]), *sys.argv[2:])))\n"
    )
    arguments = [argument for argument in empty if argument]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ends = [process.communicate("\n") for process in started]
    assert [(process.returncode, end[1]) for process, end in zip(started, ends, strict=True)] == [
        (0, "")
    ] * 3
    assert check(engine).is_current


def test_a_later_releases_database_is_refused(engine):
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = 'later'")
    for either in (check, upgrade):
        with pytest.raises(DatabaseError, match="later release"):
            either(engine)


def test_a_server_that_is_not_there_is_said_without_the_password(tmp_path):
    engine = make_engine(database_url(tmp_path, "postgres://u:hunter2@127.0.0.1:1/d"))
    with pytest.raises(DatabaseError, match="can't be used") as caught:
        upgrade(engine)
    assert "hunter2" not in str(caught.value)
