"""Hours are summed up exactly, bit by bit, whatever is written, pruned or erased meanwhile."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from aibridged.records import schema, usage_summaries
from aibridged.records.erasure import Erasure
from aibridged.records.facts import InterceptionEnd, Outcome, TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.pacing import Pace
from aibridged.records.query_results import Filter, UsageBy
from aibridged.records.store import Store
from aibridged.records.summarised_hours import SETTLED_S, mark_dirty
from aibridged.records.usage_rows import ROWS_AT_ONCE, pages_of
from aibridged.records.usage_spans import DAYS, HOURS, MONTHS, SPANS
from aibridged.records.usage_summaries import (
    INTERVAL_S,
    LEASE_S,
    MONTH_AGAIN_S,
    ClaimLostError,
    Summaries,
    keep_summarising,
)
from tests.waiting import until

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NUMBERS = ("model_interceptions", "interceptions", "input_tokens", "cost_nanos")


@pytest.fixture
def summaries(database, clock):
    return Summaries(database.engine, clock)


@pytest.fixture
def hours(database):
    """The hours (or other spans) after the start, and whether they are dirty."""
    return lambda span="hour", length=HOUR: {
        (row["starts_at"] - START) // length: row["is_dirty"]
        for row in database.rows(schema.summarised_spans)
        if row["span"] == span
    }


@pytest.fixture
def rows(database):
    """The summaries by hour (or another span), user and model, with `NUMBERS`."""

    def rows(table=schema.usage_hours, length=HOUR):
        found = database.rows(table)
        starts = [(row["starts_at"] - START) // length for row in found]
        keys = [
            (start, row["username"], row["model"], row["outcome"])
            for start, row in zip(starts, found, strict=True)
        ]
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
    assert rows() == {
        (0, "ann", "claude", "completed"): (2, 2, 11, 5),
        (0, "bob", "claude", None): (1, 1, 2, 0),
    }
    clock.advance(3600)
    all_of_it(summaries)
    assert hours() == {0: False, 1: False}
    assert rows()[1, "ann", "claude", "completed"] == (1, 1, 4, 0)


def test_one_that_used_several_models_is_counted_for_each_and_once(
    summaries, add, store, use, clock, rows
):
    id = add(username="ann", model="claude", input=10)
    store.write([], [use(id, input_tokens=5, provider_model=each) for each in ("a", "z", "z")])
    clock.advance(7200)
    all_of_it(summaries)
    assert rows() == {
        (0, "ann", "a", "completed"): (1, 1, 5, 0),
        (0, "ann", "claude", "completed"): (1, 0, 10, 0),
        (0, "ann", "z", "completed"): (1, 0, 10, 0),
    }


def test_old_records_follow_bit_by_bit_newest_first(summaries, add, clock, hours, monkeypatch):
    monkeypatch.setattr(usage_summaries, "HOURS_AT_ONCE", 2)
    for _ in range(3):
        add()
        clock.advance(5 * 3600)
    clock.advance(3600)
    for known in ([10], [5, 10]):
        assert 0 < summaries.go_on() < INTERVAL_S
        assert sorted(hour for hour in (0, 5, 10) if hour in hours()) == known
    all_of_it(summaries)
    assert hours() == dict.fromkeys(range(15), False)


def test_pages_are_written_one_by_one_and_count_when_all_are(
    database, summaries, add, clock, hours, rows, monkeypatch
):
    monkeypatch.setitem(ROWS_AT_ONCE, database.engine.dialect.name, 2)
    for number in range(5):
        add(username=f"u{number}")
    clock.advance(7200)
    (hour,) = summaries._look()
    assert summaries._take(*hour)
    with database.engine.connect() as connection:
        pages = list(pages_of(connection, *hour))
    assert [len(page) for page in pages] == [2, 2, 1]
    seen = []

    def watched():
        for page in pages:
            seen.append((len(rows()), hours()[0]))
            yield page

    summaries._write(*hour, watched())
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
    assert summaries._take(*hour)
    with database.engine.connect() as connection:
        pages = list(pages_of(connection, *hour))
    late(1)
    with pytest.raises(ClaimLostError):
        summaries._write(*hour, iter(pages))
    assert hours() == {0: True}
    all_of_it(summaries)
    assert rows() == {(0, "ann", "claude", "completed"): (3, 3, 11_003, 0)}
    late(2)
    assert hours() == {0: True}
    all_of_it(summaries)
    assert rows() == {(0, "ann", "claude", "completed"): (3, 3, 111_003, 0)}
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
    states = {
        row["span"]: row["is_dirty"] for row in postgres_database.rows(schema.summarised_spans)
    }
    assert states == {span.name: span is not HOURS for span in SPANS}


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
            connection.execute(schema.summarised_spans.delete())
        return start.id

    return add_to


def test_daemons_share_the_work(database, clock, add, hours):
    for _ in range(4):
        add()
        clock.advance(3600)
    clock.advance(3600)
    first, second = (Summaries(database.engine, clock) for _ in range(2))
    newest, *others = first._look()
    assert first._take(*newest)
    assert not second._take(*newest)
    clock.advance(LEASE_S + 1)
    assert second._take(*newest), "the first one has died"
    with pytest.raises(ClaimLostError):
        first._write(*newest, iter(()))
    second._write(*newest, iter(()))
    assert not first._take(*newest), "it is done"
    assert [hour for hour in others if first._take(*hour) and not second._take(*hour)] == others


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
    assert hours() == {0: False, 1: False, 2: False}
    assert [hour for hour, *_ in rows()] == [2]


@pytest.fixture
def known(database, summaries):
    """The hours, days and months that are clean."""

    def known():
        all_of_it(summaries)
        return [
            sum(row["span"] == span.name and not row["is_dirty"] for row in found)
            for span in (HOURS, DAYS, MONTHS)
            for found in [database.rows(schema.summarised_spans)]
        ]

    return known


def test_days_are_made_of_hours_and_months_of_days(add, clock, known, rows):
    for _ in range(2):
        add(username="ann", input=10, cost=(5, "exact"))
        add(username="ann", input=1, ended=False)
        clock.advance(3600)
    clock.advance(22 * 3600 + SETTLED_S - 1)
    assert known() == [23, 0, 0]
    clock.advance(1)
    assert known() == [24, 1, 0]
    found = {
        (0, "ann", "claude", "completed"): (2, 2, 20, 10),
        (0, "ann", "claude", None): (2, 2, 2, 0),
    }
    assert rows(schema.usage_days, DAY) == found
    clock.advance(3600)
    add(username="ann", input=100)
    clock.advance(30 * 86_400)
    assert known() == [31 * 24 + 1, 31, 1]
    found[0, "ann", "claude", "completed"] = (3, 3, 120, 10)
    assert rows(schema.usage_months, DAY) == found


def test_fewer_keys_sum_up_what_has_the_same(database, add, store, use, clock, known):
    """Those that failed are told apart, and one that used two models counts once."""
    add(username="ann", client="one", api_key_id="t1", input=10)
    id = add(username="ann", client="two", api_key_id="t2", input=1, ended=False)
    ended = InterceptionEnd(
        interception_id=id, ended_at=clock.wall(), outcome=Outcome.FAILED, status_code=500
    )
    store.write([], [use(id, input_tokens=4, provider_model="zed"), ended])
    clock.advance(31 * 86_400 + SETTLED_S)
    known()

    def found(table, *keys):
        names = ("interceptions", "failed", "input_tokens")
        of_model = [f"model_{name}" for name in names[:2] if "model" in table.c]
        return {
            tuple(row[key] for key in keys): tuple(row[name] for name in (*names, *of_model))
            for row in database.rows(table)
        }

    for by in (schema.usage_days_by, schema.usage_months_by):
        assert found(by["client"], "client") == {("one",): (1, 0, 10), ("two",): (1, 1, 5)}
        assert found(by["model"], "model") == {
            ("claude",): (2, 1, 11, 2, 1),
            ("zed",): (0, 0, 4, 1, 1),
        }
        assert found(by["user"], "username") == {("ann",): (2, 1, 15)}
        assert found(by["user_model"], "username", "model") == {
            ("ann", "claude"): (2, 1, 11, 2, 1),
            ("ann", "zed"): (0, 0, 4, 1, 1),
        }


def test_a_day_is_not_made_of_hours_that_have_changed(
    summaries, add, store, use, clock, rows, hours
):
    id = add(username="ann", input=1)
    clock.advance(86_400 + SETTLED_S)
    summaries.go_on()
    (day,) = summaries._waiting
    assert day == (DAYS, START)
    store.write([], [use(id, input_tokens=7)])
    assert 0 < summaries.go_on() < INTERVAL_S
    assert rows(schema.usage_days, DAY) == {}
    assert hours("day", DAY) == {0: True}
    all_of_it(summaries)
    assert rows(schema.usage_days, DAY) == {(0, "ann", "claude", "completed"): (1, 1, 8, 0)}
    assert hours("day", DAY) == {0: False}


def test_a_month_is_made_again_after_some_hours(add, store, use, clock, known):
    id = add()
    clock.advance(31 * 86_400 + SETTLED_S)
    assert known() == [744, 31, 1]
    store.write([], [use(id, input_tokens=7)])
    assert known() == [744, 31, 0]
    clock.advance(MONTH_AGAIN_S - 3600)
    assert known()[2] == 0
    clock.advance(3600)
    assert known()[2] == 1


def test_what_began_before_the_record_goes(database, add, store, clock, known, hours):
    add(username="ann")
    clock.advance(33 * 86_400)
    add(username="bob")
    clock.advance(7200)
    assert known() == [33 * 24 + 1, 33, 1]
    assert store.prune(clock.wall() - timedelta(days=1), 10) == 1
    assert known() == [2 * 24 + 1, 2, 0]
    assert min(hours()) == 31 * 24
    assert database.rows(schema.usage_days) == database.rows(schema.usage_months) == []


def test_summaries_that_shrink_leave_nothing_behind(
    database, summaries, add, store, clock, rows, monkeypatch
):
    monkeypatch.setitem(ROWS_AT_ONCE, database.engine.dialect.name, 2)
    summaries = Summaries(database.engine, clock)
    for number in range(5):
        add(username=f"u{number}")
    clock.advance(7200)
    all_of_it(summaries)
    assert len(rows()) == 5
    assert store.prune(clock.wall(), 4) == 4
    all_of_it(summaries)
    assert len(rows()) == 1


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
    clock.advance(31 * 86_400 + SETTLED_S)
    all_of_it(summaries)
    Erasure(database.engine, clock, Pace(clock), clock.advance).erase("ann-id", 0, 0)
    for span in SPANS:
        if "username" in span.table.c:
            assert [row["username"] for row in database.rows(span.table)] == ["bob"]
    before = query.usage_and_total([UsageBy.USER, UsageBy.MODEL], Filter())
    all_of_it(summaries)
    assert sorted(user for _, user, *_ in rows()) == ["(erased)", "bob"]
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
