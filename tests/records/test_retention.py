"""Old interceptions go, again and again, whether or not the database is there each time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records import schema
from aibridged.records.jobs import Prune, RecordingFailedError
from aibridged.records.retention import PRUNED_AT_ONCE, Pruning, keep_pruning, prune
from aibridged.records.store import DatabaseAwayError
from tests.waiting import until


class Pruner:
    """Stands in for a recorder: notes what is asked, and fails the first time."""

    def __init__(self):
        self.asked = []

    async def prune(self, before):
        self.asked.append(before)
        if len(self.asked) == 1:
            raise RecordingFailedError
        if len(self.asked) == 3:
            raise asyncio.CancelledError
        return 2


async def test_pruning_goes_on_though_it_fails_once(clock):
    pruner = Pruner()
    try:
        await keep_pruning(pruner.prune, clock, timedelta(days=60), interval=0)
    except asyncio.CancelledError:
        assert pruner.asked == [clock.wall() - timedelta(days=60)] * 3


async def test_the_recorder_prunes_what_is_too_old(
    database, make_recorder, new_start, new_facts, clock
):
    recorder = await make_recorder(database)
    old = new_start()
    await recorder.start(old)
    recorder.record(*new_facts(old.id))
    clock.advance(3600)
    await recorder.start(young := new_start())
    await recorder.close()
    recorder = await make_recorder(database)
    pruning = asyncio.ensure_future(  # noqa: TID251
        keep_pruning(recorder.prune, clock, timedelta(minutes=30), interval=3600)
    )
    await until(lambda: len(database.rows(schema.interceptions)) == 1)
    pruning.cancel()
    await recorder.close()
    assert database.row(schema.interceptions)["id"] == young.id


def test_the_command_line_prunes_at_once(database, store, new_start, new_facts, clock):
    old = [new_start() for _ in range(120)]
    store.write(old, [])
    store.write([], [new_facts(start.id)[-1] for start in old[:-1]])
    clock.advance(1)
    assert prune(database.engine, clock.wall()) == 119
    assert database.row(schema.interceptions)["id"] == old[-1].id, "it is still open"


AT = datetime(2026, 1, 1, tzinfo=UTC)


class Rows:
    """A store with so many rows to delete, until it fails."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.fails = False
        self.asked = []

    def prune(self, before, limit):
        if self.fails:
            raise DatabaseAwayError("gone")
        self.asked.append(before)
        deleted = min(limit, self.count)
        self.count -= deleted
        return deleted


@pytest.fixture
def settled():
    """How many rows went with each prune that has ended, and the errors."""
    return []


@pytest.fixture
def pruning(settled):
    def make(store, *prunes):
        made = Pruning(store, lambda prune, error: settled.append((prune.deleted, type(error))))
        for before in prunes:
            made.put(Prune(before, None))
        return made

    return make


def test_the_first_is_done_bit_by_bit_and_then_the_next(pruning, settled):
    rows = Rows(2 * PRUNED_AT_ONCE + 1)
    jobs = pruning(rows, AT, AT + timedelta(days=1))
    for _ in range(3):
        assert settled == []
        jobs.go_on(database_away=False)
    assert settled == [(2 * PRUNED_AT_ONCE + 1, type(None))]
    assert len(jobs) == 1
    jobs.go_on(database_away=False)
    assert rows.asked == [AT] * 3 + [AT + timedelta(days=1)]
    assert not jobs
    jobs.go_on(database_away=False)
    assert len(settled) == 2


@pytest.mark.parametrize("away", [False, True])
def test_without_a_database_it_fails(pruning, settled, away):
    rows = Rows(PRUNED_AT_ONCE + 1)
    jobs = pruning(rows, AT)
    jobs.go_on(database_away=False)
    rows.fails = not away
    jobs.go_on(database_away=away)
    assert settled == [(PRUNED_AT_ONCE, RecordingFailedError)]
    assert not jobs


def test_at_the_end_those_that_wait_fail(pruning, settled):
    jobs = pruning(Rows(0), AT, AT)
    jobs.give_up()
    assert settled == [(0, RecordingFailedError)] * 2
    assert not jobs
