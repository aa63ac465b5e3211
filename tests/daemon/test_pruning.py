"""Retention that a reload changes; and the audit log's, beside the record's."""

import pytest

from aibridged.daemon.pruning import Pruning, audit_pruner
from aibridged.identity import audit
from aibridged.identity.tables import metadata
from aibridged.records.jobs import RecordingFailedError
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
