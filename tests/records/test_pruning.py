"""A few rows at a time; tests/records/test_writer.py does it on real databases."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.records.jobs import Prune, RecordingFailedError
from aibridged.records.pruning import PRUNED_AT_ONCE, Pruning
from aibridged.records.store import DatabaseAwayError

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
