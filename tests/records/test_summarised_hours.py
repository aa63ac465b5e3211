"""What changes an hour that may be summed up marks it dirty, and nothing else does."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from aibridged.records import schema
from aibridged.records.facts import (
    BackgroundRecord,
    InterceptionEnd,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.summarised_hours import (
    LATE_S,
    LateRecords,
    hours_of_stored,
    mark_dirty,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def end(id):
    return InterceptionEnd(interception_id=id, ended_at=START, outcome=Outcome.COMPLETED)


def facts_of(id):
    own = {"id": uuid7(START), "interception_id": id, "created_at": START}
    return [
        (end(id), True),
        (TokenUsageRecord(**own), True),
        (BackgroundRecord(interception_id=id, status="completed"), True),
        (UserPromptRecord(**own, prompt="Hello?"), False),
    ]


def test_records_of_an_hour_are_late_once_it_has_been_over_for_a_while(clock, new_start):
    late = LateRecords(clock)
    last = START + HOUR - timedelta(milliseconds=1)
    ids = [uuid7(at) for at in (START, last, START + HOUR)]
    clock.advance(3600 + LATE_S - 0.001)
    assert late.hours([], [end(id) for id in ids]) == ()
    clock.advance(0.001)
    assert late.hours([], [end(id) for id in ids]) == [START]
    for fact, counts in facts_of(ids[0]):
        assert late.hours([], [fact]) == ([START] if counts else ())
    assert late.hours([new_start(id=ids[1])], []) == [START]
    clock.advance(24 * 3600)
    assert late.hours([], [end(id) for id in reversed(ids)]) == [START, START + HOUR]


def test_what_was_over_stays_so_though_the_clock_steps_back(clock):
    late = LateRecords(clock)
    clock.advance(3 * 3600)
    assert late.hours([], []) == ()
    clock._elapsed = 0.0
    assert late.hours([], [end(uuid7(START))]) == [START]


@pytest.fixture
def states(database):
    def states(span="hour", length=HOUR):
        return {
            (row["starts_at"] - START) // length: (row["is_dirty"], row["claimed_by"])
            for row in database.rows(schema.summarised_spans)
            if row["span"] == span
        }

    return states


@pytest.fixture
def note(database):
    """Notes hours as clean, or as claimed."""

    def note(*hours, **claim):
        at = [START + hour * HOUR for hour in hours]
        with database.engine.begin() as connection:
            rows = [
                {"span": "hour", "starts_at": hour, "is_dirty": bool(claim), **claim} for hour in at
            ]
            connection.execute(schema.summarised_spans.insert(), rows)

    return note


def test_marking_takes_the_claim_away(database, states, note):
    note(0, 1)
    note(2, claimed_by=7, claimed_until=START)
    mark = START + timedelta(minutes=59, hours=2)
    with database.engine.begin() as connection:
        mark_dirty(connection, [mark, mark.astimezone(timezone(HOUR)), START + 5 * HOUR, START])
        mark_dirty(connection, [])
    dirty = (True, None)
    assert states() == {0: dirty, 1: (False, None), 2: dirty, 5: dirty}


def test_days_and_months_are_marked_with_their_hours(database, states, store, add, clock):
    day = timedelta(days=1)
    with database.engine.begin() as connection:
        mark_dirty(connection, [START + 2 * day - HOUR, START + 40 * day])
    dirty = (True, None)
    assert states() == {47: dirty, 960: dirty}
    assert states("day", day) == {1: dirty, 40: dirty}
    assert states("month", day) == {0: dirty, 31: dirty}
    add()
    assert store.prune(START + day, 1) == 1
    assert states("day", day) == {0: dirty, 1: dirty, 40: dirty}


def test_the_writer_marks_hours_in_the_transaction_of_late_facts(
    store, new_start, new_facts, clock, states, note
):
    early, late = new_start(), new_start()
    store.write([early, late], [])
    store.write([], new_facts(early.id))
    assert states() == {}
    note(0)
    clock.advance(2 * 3600)
    store.write([], new_facts(late.id)[:1])
    assert states() == {0: (False, None)}, "a prompt isn't counted"
    store.write([], new_facts(late.id))
    assert states() == {0: (True, None)}


def test_pruning_marks_the_hours_that_it_deletes_from(store, add, clock, states, note):
    for _ in range(3):
        add()
        clock.advance(3600)
    note(0, 1, 2)
    assert store.prune(START + 2 * HOUR, 1) == 1
    assert states() == {0: (True, None), 1: (False, None), 2: (False, None)}
    assert store.prune(START + 2 * HOUR, 10) == 1
    assert states() == {0: (True, None), 1: (True, None), 2: (False, None)}


def test_drivers_give_times_as_texts_or_with_a_zone():
    texts = ["2026-01-01 01:59:59.999999", "2026-01-01 00:00:00.000000"]
    assert hours_of_stored(texts) == [START, START + HOUR]
    assert hours_of_stored([START + HOUR, START + HOUR]) == [START + HOUR]
