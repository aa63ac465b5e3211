"""Partitions by month: made ahead, never needed for a row, and dropped once all in them is old."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from aibridged.clock import SystemClock
from aibridged.records import partitions as module
from aibridged.records import schema
from aibridged.records.ids import first_id, uuid7
from aibridged.records.partitions import MARGIN, Partitions
from aibridged.records.store import DatabaseAwayError, Store
from aibridged.records.usage_spans import HOURS, SPANS, hour_of

DAY = timedelta(days=1)
PARENT = "aibridge_interceptions"


@pytest.fixture
def database(postgres_database):
    return postgres_database


@pytest.fixture
def late(clock):
    """A clock of months that come after those that the migration has made a partition for."""
    now = SystemClock().wall()
    at = datetime(now.year + 1, 3, 10, 12, tzinfo=UTC)
    clock.advance((at - clock.wall()).total_seconds())
    return clock


@pytest.fixture
def made(database, late):
    return Partitions(database.engine, late)


def partition_of(database, id):
    query = sa.text(f"SELECT tableoid::regclass::text FROM {PARENT} WHERE id = :id")
    with database.engine.connect() as connection:
        return connection.scalar(query, {"id": id})


def names(database):
    query = sa.text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
    with database.engine.connect() as connection:
        return set(connection.scalars(query))


def test_this_month_and_the_next_are_made_once(made, late, database):
    year = late.wall().year
    before = names(database)
    assert made.make_ahead() == [f"{PARENT}_p{year}_03", f"{PARENT}_p{year}_04"]
    new = names(database) - before
    assert new == {
        f"{table}_p{year}_{month}" for table in schema.PARTITIONED for month in ("03", "04")
    }
    assert made.make_ahead() == []
    late.advance(DAY.total_seconds() * 31)
    assert made.make_ahead() == [f"{PARENT}_p{year}_05"]
    assert made.go_on() == module.INTERVAL_S


def test_each_row_has_its_place_at_the_edges_of_months(made, late, database, store, new_start):
    """And so have those of clocks that are wrong."""
    year = late.wall().year
    made.make_ahead()
    edge = datetime(year, 4, 1, tzinfo=UTC)
    places = {}
    for at in (
        datetime(2020, 1, 1, tzinfo=UTC),
        late.wall(),
        late.wall() + DAY,
        edge - timedelta(milliseconds=1),
        edge,
        datetime(year + 20, 1, 1, tzinfo=UTC),
    ):
        start = new_start(id=uuid7(at), started_at=at)
        store.write([start], [])
        places[at] = partition_of(database, start.id).removeprefix(f"{PARENT}_")
    march, april = f"p{year}_03", f"p{year}_04"
    assert list(places.values()) == ["earlier", "default", march, march, april, "default"]
    assert len(database.rows(schema.interceptions)) == 6


def test_nothing_is_refused_while_there_is_no_partition_nor_later(
    made, late, database, store, new_start, new_facts
):
    """What has gone to the default partition stays there: the month's begins after it."""
    ahead = new_start(id=uuid7(late.wall() + 3 * DAY))
    begun = new_start()
    store.write([begun, ahead], [])
    made.make_ahead()
    store.write([], new_facts(begun.id))
    following = new_start(id=uuid7(late.wall() + 4 * DAY))
    now = new_start()
    store.write([following, now], [])
    store.write([], new_facts(following.id))
    places = [partition_of(database, each.id) for each in (begun, ahead, now, following)]
    march = f"{PARENT}_p{late.wall().year}_03"
    assert places == [f"{PARENT}_default"] * 3 + [march]
    assert database.row(schema.interceptions, id=begun.id)["ended_at"] is not None
    assert database.counts()["aibridge_user_prompts"] == 2


def test_a_month_of_which_nothing_is_left_gets_none(made, late, database, store, new_start):
    last = datetime(late.wall().year, 3, 31, 23, 45, tzinfo=UTC)
    store.write([new_start(id=uuid7(last))], [])
    assert made.make_ahead() == [f"{PARENT}_p{last.year}_04"]


def test_a_month_begins_where_the_margin_of_wrong_clocks_ends(made, late, database):
    year = late.wall().year
    late.advance((datetime(year, 3, 31, 23, 55, tzinfo=UTC) - late.wall()).total_seconds())
    assert made.make_ahead() == [f"{PARENT}_p{year}_04"]
    with database.engine.connect() as connection:
        [april] = module._partitions(connection)[1:]
    assert april.first == first_id(hour_of(late.wall() + MARGIN) + timedelta(hours=1))


def test_rows_are_written_once_however_often(made, late, database, store, new_start, new_facts):
    """Ids that are the same are found in their partition; an answer that comes late is kept."""
    made.make_ahead()
    late.advance(DAY.total_seconds())
    start = new_start()
    prompt, *others = new_facts(start.id)
    store.write([start], [])
    store.write([], [prompt, *others])
    answered = msgspec.structs.replace(prompt, provider_response_id="resp_1")
    store.write([start], [answered, *others])
    counts = database.counts()
    tables = ("interceptions", "user_prompts", "token_usages", "tool_usages")
    assert {counts[f"aibridge_{name}"] for name in tables} == {1}
    assert database.row(schema.user_prompts)["provider_response_id"] == "resp_1"


def test_what_is_late_for_a_deleted_one_is_refused(made, late, database, store, new_start):
    """A foreign key is that of the partition."""
    made.make_ahead()
    late.advance(DAY.total_seconds())
    start = new_start()
    usage = {"id": uuid7(late.wall()), "interception_id": start.id, "created_at": late.wall()}
    counts = dict.fromkeys(schema.TOKEN_COUNTS, 1)
    values = {**usage, "provider_response_id": "", **counts}
    with pytest.raises(sa.exc.IntegrityError), database.engine.begin() as connection:
        connection.execute(schema.token_usages.insert(), values)
    store.write([start], [])
    with database.engine.begin() as connection:
        connection.execute(schema.token_usages.insert(), values)
        connection.execute(schema.interceptions.delete())
    assert database.counts()["aibridge_token_usages"] == 0


@pytest.fixture
def filled(made, late, database, store, new_start, new_facts):
    """A partition with an ended interception; returns its name, and the time after its end."""
    made.make_ahead()
    late.advance(DAY.total_seconds())
    start = new_start()
    store.write([start], [])
    store.write([], new_facts(start.id))
    with database.engine.begin() as connection:
        hour = {"starts_at": hour_of(start.started_at), "span": HOURS.name, "is_dirty": False}
        connection.execute(schema.summarised_spans.insert(), hour)
    year = late.wall().year
    return f"{PARENT}_p{year}_03", datetime(year, 4, 1, tzinfo=UTC)


def test_what_is_old_as_a_whole_is_dropped(made, filled, database, late):
    name, end = filled
    [earlier] = made.drop_before(end - timedelta(seconds=1))
    assert earlier.name == f"{PARENT}_earlier"
    [dropped] = made.drop_before(end)
    assert dropped == (name, 1, None)
    assert not any(each.endswith("_03") for each in names(database))
    counts = database.counts()
    assert {counts[table] for table in schema.PARTITIONED} == {0}
    spans = {row["span"]: row["is_dirty"] for row in database.rows(schema.summarised_spans)}
    assert spans == {span.name: True for span in SPANS}, "they aren't what there is"
    assert made.drop_before(end) == []


@pytest.mark.parametrize("change", ["is open", "started later"])
def test_what_has_a_row_to_keep_is_kept(
    made, filled, database, store, new_start, new_facts, change
):
    _, end = filled
    if change == "is open":
        kept = new_start()
        store.write([kept], [])
    else:
        kept = new_start(started_at=end + DAY)
        store.write([kept], [])
        store.write([], new_facts(kept.id))
    [earlier] = made.drop_before(end)
    assert earlier.name == f"{PARENT}_earlier"
    assert len(database.rows(schema.interceptions)) == 2
    assert not database.row(schema.summarised_spans)["is_dirty"]


def test_what_comes_before_the_lock_is_kept(made, filled, database, store, new_start, monkeypatch):
    """A start that a daemon had in its journal for long."""
    _, end = filled
    made.drop_before(end - DAY)
    kept = new_start()

    def mark_dirty(*arguments):
        store.write([kept], [])
        mark(*arguments)

    mark = module.mark_dirty
    monkeypatch.setattr(module, "mark_dirty", mark_dirty)
    assert made.drop_before(end) == []
    assert len(database.rows(schema.interceptions)) == 2
    assert not database.row(schema.summarised_spans)["is_dirty"]


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "LOCK_S", 0.02)
    monkeypatch.setattr(module, "ATTEMPTS", 2)


def test_a_lock_is_waited_for_shortly_and_rows_are_deleted_instead(made, filled, database, at_once):
    name, end = filled
    with database.engine.begin() as reader:
        reader.execute(sa.select(schema.token_usages)).all()
        dropped = made.drop_before(end)
    assert [each.name for each in dropped] == [f"{PARENT}_earlier", name]
    assert all("lock timeout" in each.why_not for each in dropped)
    assert len(database.rows(schema.interceptions)) == 1
    assert not database.row(schema.summarised_spans)["is_dirty"]
    assert {each.why_not for each in made.drop_before(end)} == {None}


def test_one_daemon_at_a_time_is_at_it(made, late, database, at_once):
    with database.engine.begin() as other:
        other.execute(sa.select(sa.func.pg_advisory_xact_lock(module._LOCK)))
        with pytest.raises(DatabaseAwayError, match="lock timeout"):
            made.make_ahead()
        [earlier] = made.drop_before(late.wall())
        assert "lock timeout" in earlier.why_not
    assert len(made.make_ahead()) == 2


def test_daemons_that_do_the_same_at_once_do_it_once(database, late):
    several = [Partitions(database.engine, late) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        made = [*pool.map(Partitions.make_ahead, several)]
        dropped = [*pool.map(lambda each: each.drop_before(late.wall()), several)]
    year = late.wall().year
    assert sorted(name for found in made for name in found) == [
        f"{PARENT}_p{year}_03",
        f"{PARENT}_p{year}_04",
    ]
    assert sorted(map(len, dropped)) == [0, 0, 1]
    assert {each.why_not for found in dropped for each in found} == {None}


def test_without_the_right_to_it_it_is_said_once_and_records_go_on(
    made, late, database, messages, new_start
):
    """Rights on the tables are enough for a daemon, where another role makes partitions."""
    with database.engine.begin() as connection:
        for statement in (
            "CREATE ROLE lesser LOGIN",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO lesser",
        ):
            connection.exec_driver_sql(statement)
    engine = sa.create_engine(database.url.set(username="lesser"))
    sa.event.listen(engine, "do_connect", lambda *args: psycopg.connect(**args[-1]))
    try:
        lesser = Partitions(engine, late)
        with pytest.raises(DatabaseAwayError, match="permission denied"):
            lesser.make_ahead()
        lesser.go_on()
        lesser.go_on()
        assert messages().count("db upgrade") == 1
        assert all("must be owner" in each.why_not for each in lesser.drop_before(late.wall()))
        march, _ = made.make_ahead()
        late.advance(DAY.total_seconds())
        with engine.begin() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(sa.table(march))) == 0
            connection.execute(_plain_insert(new_start()))
        assert len(database.rows(schema.interceptions)) == 1
    finally:
        engine.dispose()
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY lesser")
            connection.exec_driver_sql("DROP ROLE lesser")


def _plain_insert(start):
    kept = (each.name for each in schema.interceptions.c if hasattr(start, each.name))
    values = {name: getattr(start, name) for name in kept if name not in ("metadata", "api_key_id")}
    values = {**values, "credential_kind": "centralized", "recorder_id": 1}
    return schema.interceptions.insert().values(values)


def test_writers_go_on_while_partitions_come_and_go(database, late, new_start, new_facts):
    """None of what they write is refused, and none is lost."""
    store = Store(database.engine, late)
    store.connect()
    written, stop = [], threading.Event()
    begin = late.wall()

    def write():
        while not stop.is_set():
            at = late.wall()
            start = new_start(id=uuid7(at), started_at=at)
            store.write([start], [])
            store.write([], new_facts(start.id))
            written.append(start.id)

    partitions = Partitions(database.engine, late)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(3):
                partitions.make_ahead()
                late.advance(20 * DAY.total_seconds())
            [earlier] = partitions.drop_before(begin)
            count = len(written)
            while len(written) < count + 20 and not writing.done():
                time.sleep(0.001)
        finally:
            stop.set()
    writing.result()
    store.close()
    assert earlier.why_not is None
    counts = database.counts()
    assert counts[PARENT] == counts["aibridge_token_usages"] == len(written)


_MANY = """
INSERT INTO aibridge_interceptions (id, initiator_id, provider, provider_name, model, client,
    credential_kind, credential_hint, recorder_id, started_at, ended_at, outcome)
SELECT CAST(lpad(to_hex(CAST(:at AS bigint) + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0')
    AS uuid), 'i' || i % 100, 'p', 'p', 'm' || i % 7, 'c', 'centralized', '', 1, at, at, 'completed'
FROM generate_series(CAST(:first AS integer), :last) AS i, to_timestamp((:at + i) / 1000.0) AS at
"""
_THEIR_USAGES = """
INSERT INTO aibridge_token_usages (id, interception_id, provider_response_id, input_tokens,
    output_tokens, cache_read_input_tokens, cache_write_input_tokens, created_at)
SELECT id, id, '', 1, 1, 1, 1, started_at FROM aibridge_interceptions
WHERE started_at >= to_timestamp((:at + :first) / 1000.0)
"""


@pytest.mark.drill
def test_a_month_of_many_rows_is_dropped_while_starts_are_written(
    made, late, database, store, new_start
):
    made.make_ahead()
    count, at_once = 200_000, 20_000
    at = int((late.wall() + DAY).timestamp() * 1000)
    with database.engine.begin() as connection:
        for first in range(0, count, at_once):
            few = {"at": at, "first": first, "last": first + at_once - 1}
            connection.execute(sa.text(_MANY), few)
            connection.execute(sa.text(_THEIR_USAGES), few)
        connection.exec_driver_sql("ANALYZE aibridge_interceptions")
    end = datetime(late.wall().year, 4, 1, tzinfo=UTC)
    late.advance((end - late.wall()).total_seconds() + 70 * DAY.total_seconds())
    made.make_ahead()
    late.advance(DAY.total_seconds())
    waited, stop, monotonic = [], threading.Event(), SystemClock.monotonic

    def write():
        while not stop.is_set():
            start = new_start(started_at=late.wall())
            began = monotonic()
            store.write([start], [])
            waited.append(monotonic() - began)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            dropped = made.drop_before(late.wall() - 60 * DAY)
        finally:
            stop.set()
    writing.result()
    march = dropped[-1]
    assert (march.why_not, march.rows) == (None, pytest.approx(count, rel=0.1))
    assert max(waited) < 1, "deletes of so many rows would take longer than all of this"
    assert database.counts()["aibridge_token_usages"] == 0
