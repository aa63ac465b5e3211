"""Old interceptions go, again and again, whether or not the database is there each time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records import schema
from aibridged.records.jobs import Prune, RecordingFailedError
from aibridged.records.pacing import BATCH_S, FIRST_BATCH, MOST_AT_ONCE, SHARE, Pace
from aibridged.records.retention import Pruning, keep_pruning, prune
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


def test_the_command_line_prunes_at_a_pace(database, store, new_start, new_facts, clock):
    old = [new_start() for _ in range(120)]
    store.write(old, [])
    store.write([], [new_facts(start.id)[-1] for start in old[:-1]])
    clock.advance(1)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        clock.advance(seconds)

    assert prune(database.engine, clock.wall(), Pace(clock), sleep) == 119
    assert database.row(schema.interceptions)["id"] == old[-1].id, "it is still open"
    assert len(pauses) >= 5
    assert all(pause > 0 for pause in pauses[1:]), "others have their turn between batches"


AT = datetime(2026, 1, 1, tzinfo=UTC)


class Rows:
    """A store with so many rows to delete, each of which takes its time, until it fails."""

    def __init__(self, count: int, clock, seconds: float = 0.0) -> None:
        self.count = count
        self.fails = False
        self.asked = []
        self._clock = clock
        self._seconds = seconds

    def prune(self, before, limit):
        if self.fails:
            raise DatabaseAwayError("gone")
        self.asked.append((before, limit))
        deleted = min(limit, self.count)
        self.count -= deleted
        self._clock.advance(deleted * self._seconds)
        return deleted


@pytest.fixture
def settled():
    """How many rows went with each prune that has ended, and the errors."""
    return []


@pytest.fixture
def pruning(settled, clock):
    def make(store, *prunes):
        made = Pruning(
            store, clock, lambda prune, error: settled.append((prune.deleted, type(error)))
        )
        for before in prunes:
            made.put(Prune(before, None))
        return made

    return make


def test_the_first_is_done_bit_by_bit_and_then_the_next(pruning, settled, clock):
    rows = Rows(2 * MOST_AT_ONCE + 1, clock)
    later = AT + timedelta(days=1)
    jobs = pruning(rows, AT, later)
    while (left := jobs.seconds_left(clock.monotonic())) is not None:
        clock.advance(left)
        jobs.go_on(database_away=False)
    assert settled == [(2 * MOST_AT_ONCE + 1, type(None)), (0, type(None))]
    assert [before for before, _ in rows.asked][-2:] == [AT, later]
    limits = [limit for _, limit in rows.asked]
    assert max(limits) == MOST_AT_ONCE
    assert jobs.seconds_left(clock.monotonic()) is None
    jobs.go_on(database_away=False)
    assert len(settled) == 2


@pytest.mark.parametrize("seconds", [0.000_1, 0.001, 0.1])
def test_it_takes_a_small_share_of_the_time_and_little_at_once(pruning, clock, seconds):
    """Starts wait for what is being deleted."""
    rows = Rows(1000, clock, seconds)
    jobs = pruning(rows, AT)
    began, longest = clock.monotonic(), []
    while (left := jobs.seconds_left(clock.monotonic())) is not None:
        clock.advance(left)
        before = clock.monotonic()
        jobs.go_on(database_away=False)
        longest.append(clock.monotonic() - before)
        count = len(rows.asked)
        jobs.go_on(database_away=False)
        assert len(rows.asked) == count, "it isn't time yet"
    assert max(longest[1:]) <= max(BATCH_S, seconds) * 1.01
    assert 1000 * seconds <= (clock.monotonic() - began) * SHARE * 1.1


@pytest.mark.parametrize("away", [False, True])
def test_without_a_database_it_fails(pruning, settled, away, clock):
    rows = Rows(MOST_AT_ONCE + 1, clock)
    jobs = pruning(rows, AT)
    jobs.go_on(database_away=False)
    rows.fails = not away
    clock.advance(1)
    jobs.go_on(database_away=away)
    assert settled == [(FIRST_BATCH, RecordingFailedError)]
    assert jobs.seconds_left(clock.monotonic()) is None


def test_at_the_end_those_that_wait_fail(pruning, settled, clock):
    jobs = pruning(Rows(0, clock), AT, AT)
    jobs.give_up()
    assert settled == [(0, RecordingFailedError)] * 2
    assert jobs.seconds_left(clock.monotonic()) is None
