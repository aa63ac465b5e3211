"""Hours are summed up exactly, bit by bit, whatever is written, pruned or erased meanwhile."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from aibridged.records import schema, usage_summaries
from aibridged.records.erasure import Erasure
from aibridged.records.facts import TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.pacing import Pace
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.store import Store
from aibridged.records.summarised_hours import SETTLED_S, mark_dirty
from aibridged.records.usage_summaries import (
    INTERVAL_S,
    LEASE_S,
    ClaimLostError,
    Summaries,
    _pages,
    keep_summarising,
)
from tests.waiting import until

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NUMBERS = ("model_interceptions", "interceptions", "input_tokens", "cost_nanos")


@pytest.fixture
def summaries(database, clock):
    return Summaries(database.engine, clock)


@pytest.fixture
def hours(database):
    """The hours after the start, and whether they are dirty."""
    return lambda: {
        (row["hour"] - START) // HOUR: row["is_dirty"]
        for row in database.rows(schema.summarised_hours)
    }


@pytest.fixture
def rows(database):
    """The summaries by hour, user and model, with `NUMBERS`."""

    def rows():
        found = database.rows(schema.usage_hours)
        keys = [((row["hour"] - START) // HOUR, row["username"], row["model"]) for row in found]
        assert len(set(keys)) == len(keys)
        return {
            key: tuple(row[name] for name in NUMBERS) for key, row in zip(keys, found, strict=True)
        }

    return rows


@pytest.fixture
def use(clock):
    """A usage of an interception."""

    def use(id, **fields):
        own = {"id": uuid7(clock.wall()), "interception_id": id, "created_at": clock.wall()}
        return TokenUsageRecord(**own, **fields)

    return use


def all_of_it(summaries):
    while summaries.go_on() < INTERVAL_S:
        pass


def test_hours_are_summed_up_once_they_are_over(summaries, add, clock, hours, rows):
    add(username="ann", input=10, cost=(5, "exact"))
    add(username="ann", input=1, cost=(None, "unpriced"))
    add(username="bob", input=2, ended=False)
    clock.advance(3600)
    add(username="ann", input=4)
    clock.advance(SETTLED_S - 1)
    assert summaries.go_on() == INTERVAL_S
    assert hours() == {}
    clock.advance(1)
    assert summaries.go_on() == INTERVAL_S
    assert hours() == {0: False}
    assert rows() == {(0, "ann", "claude"): (2, 2, 11, 5), (0, "bob", "claude"): (1, 1, 2, 0)}
    clock.advance(3600)
    all_of_it(summaries)
    assert hours() == {0: False, 1: False}
    assert rows()[1, "ann", "claude"] == (1, 1, 4, 0)


def test_one_that_used_several_models_is_counted_for_each_and_once(
    summaries, add, store, use, clock, rows
):
    id = add(username="ann", model="claude", input=10)
    store.write([], [use(id, input_tokens=5, provider_model=each) for each in ("a", "z", "z")])
    clock.advance(7200)
    all_of_it(summaries)
    assert rows() == {
        (0, "ann", "a"): (1, 1, 5, 0),
        (0, "ann", "claude"): (1, 0, 10, 0),
        (0, "ann", "z"): (1, 0, 10, 0),
    }


def test_old_records_follow_bit_by_bit_newest_first(summaries, add, clock, hours, monkeypatch):
    monkeypatch.setattr(usage_summaries, "HOURS_AT_ONCE", 2)
    for _ in range(3):
        add()
        clock.advance(5 * 3600)
    clock.advance(3600)
    assert 0 < summaries.go_on() < INTERVAL_S
    assert sorted(hour for hour in (0, 5, 10) if hour in hours()) == [10]
    assert summaries.go_on() == INTERVAL_S
    assert sorted(hour for hour in (0, 5, 10) if hour in hours()) == [5, 10]
    all_of_it(summaries)
    assert hours() == dict.fromkeys(range(15), False)


def test_pages_are_written_one_by_one_and_count_when_all_are(
    database, summaries, add, clock, hours, rows, monkeypatch
):
    monkeypatch.setitem(usage_summaries.ROWS_AT_ONCE, database.engine.dialect.name, 2)
    for number in range(5):
        add(username=f"u{number}")
    clock.advance(7200)
    (hour,) = summaries._look()
    assert summaries._take(hour)
    with database.engine.connect() as connection:
        pages = list(_pages(connection, hour))
    assert [len(page) for page in pages] == [2, 2, 1]
    seen = []

    def watched():
        for page in pages:
            seen.append((len(rows()), hours()[0]))
            yield page

    summaries._write(hour, watched())
    assert seen == [(0, True), (0, True), (2, True)]
    assert (len(rows()), hours()) == (5, {0: False})


def test_what_comes_late_is_not_lost_whenever_it_comes(
    database, summaries, add, store, use, clock, hours, rows
):
    ids = [add(username="ann", input=1) for _ in range(3)]
    clock.advance(7200)

    def late(number):
        store.write([], [use(ids[number], input_tokens=10**number * 1000)])

    (hour,) = summaries._look()
    late(0)
    assert summaries._take(hour)
    with database.engine.connect() as connection:
        pages = list(_pages(connection, hour))
    late(1)
    with pytest.raises(ClaimLostError):
        summaries._write(hour, iter(pages))
    assert hours() == {0: True}
    all_of_it(summaries)
    assert rows() == {(0, "ann", "claude"): (3, 3, 11_003, 0)}
    late(2)
    assert hours() == {0: True}
    all_of_it(summaries)
    assert rows() == {(0, "ann", "claude"): (3, 3, 111_003, 0)}
    assert hours() == {0: False}


def test_an_hour_is_claimed_until_its_transaction_ends(postgres_database, add_to, clock, use):
    """A late fact isn't committed yet while the hour is summed up."""
    id = add_to(postgres_database)
    clock.advance(7200)
    summaries = Summaries(postgres_database.engine, clock)
    with postgres_database.engine.connect() as late:
        late.execute(
            schema.token_usages.insert(),
            {
                "id": uuid7(clock.wall()),
                "interception_id": id,
                "provider_response_id": "",
                **dict.fromkeys(schema.TOKEN_COUNTS, 7),
                "created_at": clock.wall(),
            },
        )
        mark_dirty(late, [START])
        thread = threading.Thread(target=all_of_it, args=(summaries,))
        thread.start()
        waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with postgres_database.engine.connect() as watching:

            def is_waiting():
                watching.rollback()
                return watching.scalar(waits) > 0

            while not is_waiting():
                assert thread.is_alive()
        late.commit()
    thread.join(20)
    (row,) = postgres_database.rows(schema.usage_hours)
    assert row["output_tokens"] == 5 + 7
    assert not postgres_database.row(schema.summarised_hours)["is_dirty"]


@pytest.fixture
def add_to(new_start, new_facts):
    def add_to(database):
        store = Store(database.engine)
        store.connect()
        start = new_start()
        store.write([start], [])
        own = {"interception_id": start.id, "created_at": start.started_at}
        store.write([], [TokenUsageRecord(id=uuid7(start.started_at), output_tokens=5, **own)])
        store.close()
        with database.engine.begin() as connection:
            connection.execute(schema.summarised_hours.delete())
        return start.id

    return add_to


def test_daemons_share_the_work(database, clock, add, hours):
    for _ in range(4):
        add()
        clock.advance(3600)
    clock.advance(3600)
    first, second = (Summaries(database.engine, clock) for _ in range(2))
    newest, *others = first._look()
    assert first._take(newest)
    assert not second._take(newest)
    clock.advance(LEASE_S + 1)
    assert second._take(newest), "the first one has died"
    with pytest.raises(ClaimLostError):
        first._write(newest, iter(()))
    second._write(newest, iter(()))
    assert not first._take(newest), "it is done"
    assert [hour for hour in others if first._take(hour) and not second._take(hour)] == others


def test_pruned_hours_go(summaries, add, store, clock, hours, rows):
    for _ in range(3):
        add()
        clock.advance(3600)
    clock.advance(SETTLED_S)
    all_of_it(summaries)
    assert hours() == {0: False, 1: False, 2: False}
    store.prune(START + HOUR + timedelta(minutes=1), 10)
    assert hours() == {0: True, 1: True, 2: False}
    all_of_it(summaries)
    all_of_it(summaries)
    assert hours() == {2: False}
    assert [hour for hour, *_ in rows()] == [2]


def test_hours_that_are_not_over_are_not_clean_though_the_clock_has_stepped_back(
    summaries, add, clock, hours
):
    add()
    clock.advance(7200)
    all_of_it(summaries)
    clock._elapsed = 1800.0
    all_of_it(summaries)
    assert hours()[0]


def test_erasure_leaves_no_name_in_summaries(database, summaries, add, query, clock, rows):
    add(username="ann", initiator_id="ann-id", input=10)
    add(username="bob", initiator_id="bob-id", input=1)
    clock.advance(7200)
    all_of_it(summaries)
    Erasure(database.engine, clock, Pace(clock), clock.advance).erase("ann-id", 0, 0)
    assert rows() == {}
    before = query.usage_and_total([UsageBy.USER, UsageBy.MODEL], Filter())
    all_of_it(summaries)
    assert sorted(user for _, user, _ in rows()) == ["(erased)", "bob"]
    assert query.usage_and_total([UsageBy.USER, UsageBy.MODEL], Filter()) == before


def test_a_database_that_is_away_is_told_once(
    postgres_server, postgres_database, add_to, clock, messages
):
    add_to(postgres_database)
    clock.advance(7200)
    summaries = Summaries(postgres_database.engine, clock)
    postgres_server.stop()
    try:
        assert summaries.go_on() == summaries.go_on() == INTERVAL_S
    finally:
        postgres_server.start()
    assert messages().count("Usage can't be summed up at the moment") == 1
    all_of_it(summaries)
    assert len(postgres_database.rows(schema.usage_hours)) == 1


async def test_the_daemon_sums_up_while_it_runs(summaries, add, clock, hours):
    add()
    clock.advance(7200)
    keeping = asyncio.ensure_future(keep_summarising(summaries, first=0))  # noqa: TID251
    await until(lambda: hours() == {0: False})
    keeping.cancel()
    summaries.stop()
    assert await asyncio.to_thread(summaries.go_on) == INTERVAL_S


def test_readers_see_no_summary_without_what_came_late(database, add, query, use, clock):
    """While late facts are written and hours summed up, both ways to a total are one."""
    ids = [add(username=f"u{number % 3}", input=1) for number in range(6)]
    clock.advance(7200)
    stop = threading.Event()
    summaries = Summaries(database.engine, clock)

    def sum_up():
        while not stop.is_set():
            summaries.go_on()

    def write():
        store = Store(database.engine, clock)
        store.connect()
        for number in range(60):
            assert threads[0].is_alive()
            store.write([], [use(ids[number % 6], input_tokens=1)])
        store.close()
        stop.set()

    threads = [threading.Thread(target=each) for each in (sum_up, write)]
    for thread in threads:
        thread.start()
    while threads[1].is_alive():
        with query.reading() as connection:
            used = schema.token_usages.c.input_tokens
            total = usage_total(connection)
            assert total == int(connection.scalar(sa.select(sa.func.sum(used))))
    for thread in threads:
        thread.join(20)
    all_of_it(summaries)
    assert usage_of(query) == 66


def usage_total(connection):
    from aibridged.records.usage import find_usage

    return find_usage(connection, [UsageBy.USER], Filter())[1].input_tokens


def usage_of(query):
    return query.usage_and_total([UsageBy.USER], Filter())[1].input_tokens
