"""Refusals are counted per person, beside the requests, whether or not the database is there."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from aibridged.observe.request_summary import RequestSummary
from aibridged.records import refusals, schema
from aibridged.records.refusals import MAX_COUNTS, RefusalCounts
from tests.waiting import until


def refused(person="ann", reason="rate_limited"):
    return RequestSummary(
        request_id="r",
        outcome="rejected",
        method="POST",
        path="/",
        began=0,
        ended=0,
        reason=reason,
        initiator_id=person,
    )


def rows(database):
    found = database.rows(schema.refusals)
    return {(str(row["day"]), row["user_id"], row["reason"]): row["count"] for row in found}


def test_counts_are_added_to_those_of_other_daemons(database, clock):
    counts, others = (RefusalCounts(database.engine, clock, interval=60) for _ in range(2))
    for _ in range(3):
        counts.note(refused())
    counts.note(refused("bob", "byok_disabled"))
    others.note(refused())
    for each in (counts, others):
        each.finish(10)
    assert rows(database) == {
        ("2026-01-01", "ann", "rate_limited"): 4,
        ("2026-01-01", "bob", "byok_disabled"): 1,
    }


def test_a_day_ends_at_midnight(database, clock):
    counts = RefusalCounts(database.engine, clock, interval=60)
    counts.note(refused())
    clock.advance(timedelta(days=1).total_seconds())
    counts.note(refused())
    counts.finish(10)
    assert {day: count for (day, *_), count in rows(database).items()} == {
        "2026-01-01": 1,
        "2026-01-02": 1,
    }


@pytest.mark.parametrize(
    "request_",
    [refused(None), refused(reason=None), refused(reason="circuit_open"), refused("x" * 65)],
)
def test_what_concerns_no_person_is_not_counted(sqlite_database, clock, request_):
    counts = RefusalCounts(sqlite_database.engine, clock, interval=0)
    counts.note(request_)
    assert counts._thread is None
    counts.finish(10)
    assert rows(sqlite_database) == {}


async def test_they_are_written_by_and_by_and_no_thread_is_left(sqlite_database, clock):
    counts = RefusalCounts(sqlite_database.engine, clock, interval=0.01)
    for number in (1, 2):
        counts.note(refused())
        await until(lambda: counts._thread is None)
        assert list(rows(sqlite_database).values()) == [number]


async def test_a_database_that_is_away_costs_a_line(sqlite_database, clock, monkeypatch, messages):
    is_there, tries, add = threading.Event(), [], refusals.add

    def fail(engine, counts):
        tries.append(counts)
        if not is_there.is_set():
            raise OperationalError("INSERT canary", {}, Exception("it is away\nmore"))
        add(engine, counts)

    monkeypatch.setattr(refusals, "add", fail)
    counts = RefusalCounts(sqlite_database.engine, clock, interval=0.01)
    counts.note(refused())
    await until(lambda: len(tries) > 2)
    counts.note(refused())
    is_there.set()
    await until(lambda: counts._thread is None)
    assert list(rows(sqlite_database).values()) == [2]
    assert messages() == "Refusals can't be counted per person at the moment: it is away\n"


def test_what_the_end_loses_is_told(sqlite_database, clock, monkeypatch, messages):
    def fail(engine, counts):
        raise OperationalError("INSERT", {}, Exception("it is away"))

    monkeypatch.setattr(refusals, "add", fail)
    counts = RefusalCounts(sqlite_database.engine, clock, interval=60)
    for _ in range(2):
        counts.note(refused())
    counts.finish(10)
    assert "2 refusals are not counted per person" in messages()


def test_memory_has_a_bound(sqlite_database, clock, messages):
    counts = RefusalCounts(sqlite_database.engine, clock, interval=60)
    for number in range(MAX_COUNTS + 5):
        counts.note(refused(f"person-{number}"))
    counts.note(refused("person-0"))
    assert len(counts._counts) == MAX_COUNTS
    counts.finish(20)
    assert sum(rows(sqlite_database).values()) == MAX_COUNTS + 1
    assert "5 refusals are not counted per person" in messages()
