"""Deletions leave time for everything else: more of it while a daemon runs."""

import pytest

from aibridged.records.pacing import (
    MOST_AT_ONCE,
    REVISED_SHARE,
    SHARE,
    SHARE_ALONE,
    Pace,
    pace_beside_daemon,
    revising_pace,
)
from aibridged.records.spool import SPOOL_FILE, Spool


@pytest.mark.parametrize("share", [SHARE, SHARE_ALONE])
def test_what_a_batch_took_says_how_long_the_pause_is(clock, share):
    pace = Pace(clock, share)
    assert pace.seconds_left(clock.monotonic()) == 0
    began = clock.monotonic()
    clock.advance(0.1)
    pace.done(began)
    assert pace.seconds_left(clock.monotonic()) == pytest.approx(0.1 / share - 0.1)


def test_batches_grow_to_a_bound_while_they_are_quick_and_shrink_when_they_are_not(clock):
    pace = Pace(clock)
    for _ in range(10):
        pace.done(clock.monotonic())
    assert pace.batch == MOST_AT_ONCE
    began = clock.monotonic()
    clock.advance(10)
    pace.done(began)
    assert pace.batch == 1


def test_a_command_is_quick_only_where_no_daemon_can_be_running(database, clock):
    def share():
        pace, began = pace_beside_daemon(database.engine, database.state_dir, clock), 0.0
        began = clock.monotonic()
        clock.advance(1)
        pace.done(began)
        return 1 / (1 + pace.seconds_left(clock.monotonic()))

    assert share() == pytest.approx(SHARE_ALONE if database.is_sqlite else SHARE)
    spool = Spool(database.state_dir / SPOOL_FILE)
    spool.open()
    assert share() == pytest.approx(SHARE), "a daemon has the state directory"
    spool.close()


def test_a_command_that_changes_rows_gets_through_a_month_beside_a_daemon(database, clock):
    """By what a transaction takes where each has to wait for the daemon's."""
    spool = Spool(database.state_dir / SPOOL_FILE)
    spool.open()
    pace, rows, before = revising_pace(database.engine, database.state_dir, clock), 0, clock.wall()
    while (clock.wall() - before).total_seconds() < 60:
        clock.advance(pace.seconds_left(clock.monotonic()))
        began = clock.monotonic()
        clock.advance(0.004 + pace.batch * 0.0004)
        rows += pace.batch
        pace.done(began)
    spool.close()
    assert rows / 60 > 300
    assert pace.seconds_left(clock.monotonic()) < 0.024 / REVISED_SHARE
