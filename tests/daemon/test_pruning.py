"""Retention that a reload changes; and the audit log's, beside the record's."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from aibridged.clock import SystemClock
from aibridged.daemon.pruning import Pruning, audit_pruner, record_pruner
from aibridged.identity import audit
from aibridged.identity.tables import metadata
from aibridged.records.database import database_url, make_engine
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.partitions import Partitions
from aibridged.tasks import Tasks
from tests.waiting import until


@pytest.fixture
def add(database, clock):
    def add():
        with database.engine.begin() as connection:
            audit.record(connection, at=clock.wall(), actor="root", action="x", target="y")

    return add


def rows(database):
    with database.engine.connect() as connection:
        return audit.count(connection, audit.AuditFilter())


async def test_old_rows_of_the_audit_log_go_while_the_daemon_runs(database, clock, add):
    add()
    clock.advance(100)
    add()
    tasks = Tasks()
    pruning = Pruning(audit_pruner(database.engine), "audit row", tasks, clock)
    pruning.keep(0)
    assert pruning.task is None, "they are kept forever"
    pruning.keep(50)
    await until(lambda: rows(database) == 1)
    first = pruning.task
    pruning.keep(50)
    assert pruning.task is first
    clock.advance(100)
    pruning.keep(60)
    await until(lambda: rows(database) == 0)
    await tasks.cancel()


async def test_a_database_that_fails_postpones_it(database, clock):
    metadata.drop_all(database.engine)
    with pytest.raises(RecordingFailedError):
        await audit_pruner(database.engine)(clock.wall())


async def test_partitions_that_are_too_old_go_before_rows_do(postgres_database, clock):
    asked = []

    async def prune(before):
        asked.append(before)
        return 3

    ask = record_pruner(Partitions(postgres_database.engine, clock), prune)
    far = SystemClock().wall() + timedelta(days=100)
    assert await ask(far) == 3
    assert asked == [far]
    names = sa.inspect(postgres_database.engine).get_table_names()
    assert "aibridge_interceptions_earlier" not in names


async def test_nothing_is_deleted_by_rows_while_the_database_is_away(clock):
    url = database_url(Path(), "postgres://u:p@127.0.0.1:1/d")
    ask = record_pruner(Partitions(make_engine(url), clock), audit_pruner(make_engine(url)))
    with pytest.raises(RecordingFailedError):
        await ask(clock.wall())
