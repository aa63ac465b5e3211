"""The database goes away in the middle of the work and comes back: nothing is lost or doubled."""

import asyncio
import errno
import sqlite3
import threading
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from aibridged.records import journal, postgres, schema
from aibridged.records.disk_waits import SHUN_S, SLOW_S
from aibridged.records.facts import TokenUsageRecord
from aibridged.records.flush_schedule import CHECKPOINT_S, FLUSH_S
from aibridged.records.ids import uuid7
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.pacing import MOST_AT_ONCE
from aibridged.records.recorder import GATHERING_TURNS
from aibridged.records.store import DatabaseAwayError
from aibridged.records.writer import FACTS_AT_ONCE
from tests.waiting import until


@contextmanager
def locked(database, recorder):
    """Another process holds SQLite's write lock."""
    other = sqlite3.connect(database.state_dir / "aibridged.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


@contextmanager
def with_pragma(database, recorder, pragma):
    """Every connection of the recorder's has the pragma, the present one too."""

    def set_it(connection, _record):
        connection.execute(pragma)

    recorder._writer._store._backend._connection.execute(pragma)
    sa.event.listen(database.engine, "connect", set_it)
    yield
    sa.event.remove(database.engine, "connect", set_it)


def read_only(database, recorder):
    return with_pragma(database, recorder, "PRAGMA query_only = ON")


def disk_full(database, recorder):
    """The file may not grow by a single page."""
    return with_pragma(database, recorder, "PRAGMA max_page_count = 1")


@pytest.fixture
def restarted(request):
    @contextmanager
    def restarted(database, recorder):
        server = request.getfixturevalue("postgres_server")
        server.stop()
        yield
        server.start()

    return restarted


@pytest.fixture
def impatient(monkeypatch):
    """PostgreSQL has less time than in earnest."""
    monkeypatch.setattr(postgres, "COMMIT_S", 0.4)
    monkeypatch.setattr(postgres, "_LEAST_S", 0.4)


@pytest.fixture
def frozen(request, impatient):
    return lambda database, recorder: request.getfixturevalue("postgres_server").frozen()


@pytest.fixture
def standby_gone(request, impatient):
    server = request.getfixturevalue("postgres_server")
    return lambda database, recorder: server.without_its_standby()


@pytest.fixture(
    params=[
        ("sqlite", locked),
        ("sqlite", read_only),
        ("sqlite", disk_full),
        ("postgres", "restarted"),
        ("postgres", "frozen"),
        ("postgres", "standby_gone"),
    ],
    ids=lambda param: getattr(param[1], "__name__", param[1]),
)
def outage(request):
    """How the database goes away; `database` is the one that it can happen to."""
    how = request.param[1]
    return request.getfixturevalue(how) if isinstance(how, str) else how


@pytest.fixture
def database(request):
    """Overrides the one for both databases where an outage says which it is."""
    callspec = getattr(request.node, "callspec", None)
    kind = callspec.params["outage"][0] if callspec and "outage" in callspec.params else "sqlite"
    if kind == "sqlite":
        return request.getfixturevalue("sqlite_database")
    return request.getfixturevalue("postgres_database")


class Ledger:
    """What was promised: which starts were committed, and whose facts were taken."""

    def __init__(self, recorder, new_start, new_facts):
        self._recorder = recorder
        self._new_start = new_start
        self._new_facts = new_facts
        self.started = set()
        self.refused = set()

    async def request(self):
        """One request: a start, and if it may go upstream, its facts and its end."""
        # Long enough to find no room in the pages that a full disk has left.
        start = self._new_start(metadata={"padding": "x" * 5000})
        try:
            await self._recorder.start(start)
        except RecordingFailedError:
            self.refused.add(start.id)
            return
        self.started.add(start.id)
        await asyncio.sleep(0)
        self._recorder.record(*self._new_facts(start.id))

    def holds(self, database):
        """Every start that was promised has its row and its facts, once, and nothing else has."""
        rows = {row["id"]: row for row in database.rows(schema.interceptions)}
        assert self.started <= rows.keys()
        for id in rows.keys() - self.started:
            # Refused, since nobody heard of its commit; it never went upstream.
            assert id in self.refused
            assert (rows[id]["outcome"], rows[id]["status_code"]) == ("failed", 503)
        assert all(rows[id]["outcome"] == "completed" for id in self.started)
        for table in (schema.token_usages, schema.user_prompts, schema.tool_usages):
            owners = [row["interception_id"] for row in database.rows(table)]
            assert sorted(owners) == sorted(self.started)


async def test_nothing_is_lost_or_doubled_while_the_database_is_away(
    database, outage, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database, linger=0.1)  # until the outage
    ledger = Ledger(recorder, new_start, new_facts)
    stats = recorder.stats
    await asyncio.gather(*(ledger.request() for _ in range(30)))
    running = [asyncio.ensure_future(ledger.request()) for _ in range(30)]  # noqa: TID251
    await until(lambda: len(ledger.started) == 60)
    with outage(database, recorder):
        # Those 30 have facts to write now, and more starts come.
        await asyncio.gather(*running, *(ledger.request() for _ in range(10)))
        await until(lambda: stats.spool_bytes and recorder.queue_length == 0)
        assert stats.database_away
        assert ledger.refused
        # At once, and without a wait for the database.
        began = recorder.stats.starts_refused
        with pytest.raises(RecordingFailedError):
            await recorder.start(new_start())
        assert stats.starts_refused == began + 1
    await until(lambda: not stats.database_away)
    await asyncio.gather(*(ledger.request() for _ in range(20)))
    await recorder.close()
    assert len(ledger.started) >= 80
    ledger.holds(database)
    assert stats.records_lost == 0
    assert stats.spool_bytes == 0
    assert stats.records_replayed == stats.records_spooled


async def test_a_daemon_that_stops_during_an_outage_leaves_the_rest_to_the_next(
    database, outage, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database, linger=10)
    ledger = Ledger(recorder, new_start, new_facts)
    running = [asyncio.ensure_future(ledger.request()) for _ in range(20)]  # noqa: TID251
    await until(lambda: len(ledger.started) == 20)
    with outage(database, recorder):
        await asyncio.gather(*running)
        await recorder.close()
        assert recorder.stats.records_lost == 0
        assert recorder.stats.spool_bytes > 0
    successor = await make_recorder(database)
    await successor.close()
    ledger.holds(database)
    assert (database.state_dir / "spool.jsonl").stat().st_size == 0


async def test_facts_that_the_spool_does_not_take_either_wait_in_memory(
    database, make_recorder, new_start, new_facts, monkeypatch
):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)
    spool = recorder._writer._spooling._spool

    def fail(facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "append", fail)
    with locked(database, recorder):
        recorder.record(*new_facts(start.id))
        await until(lambda: recorder.stats.database_away)
        assert recorder.stats.records_spooled == 0
    await until(lambda: not recorder.stats.database_away)
    assert database.counts()["aibridge_user_prompts"] == 1
    assert database.open_count() == 0
    await recorder.close()
    assert recorder.stats.records_lost == 0


async def test_what_only_the_journal_takes_until_the_end_is_recorded_at_the_next_start(
    database, make_recorder, new_start, new_facts, monkeypatch, messages
):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)

    def fail(facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder._writer._spooling._spool, "append", fail)
    with locked(database, recorder):
        recorder.record(*new_facts(start.id))
        await recorder.close()
    assert (recorder.stats.records_lost, recorder.stats.lost_at_end) == (0, 0)
    assert "4 records are in the journal only" in messages()
    monkeypatch.undo()
    recorder = await make_recorder(database)
    await recorder.close()
    assert database.counts()["aibridge_user_prompts"] == 1
    assert database.row(schema.interceptions)["outcome"] == "completed"


async def test_what_nothing_takes_until_the_end_is_lost_and_said_to_be(
    database, make_recorder, new_start, new_facts, monkeypatch, messages
):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder._writer._spooling._spool, "append", fail)
    monkeypatch.setattr(journal.os, "pwrite", fail)
    with locked(database, recorder):
        recorder.record(*new_facts(start.id))
        await recorder.close()
    monkeypatch.undo()
    assert (recorder.stats.records_lost, recorder.stats.lost_at_end) == (4, 4)
    assert "4 records are lost" in messages()


async def test_a_row_that_cannot_be_stored_takes_no_other_with_it(
    database, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)
    no_number = TokenUsageRecord(
        id=uuid7(start.started_at),
        interception_id=start.id,
        created_at=start.started_at,
        input_tokens=2**70,
    )
    recorder.record(*new_facts(start.id), no_number)
    await recorder.start(new_start())
    refused = recorder.start(new_start(metadata={"n": object()}))
    taken = recorder.start(new_start())
    outcomes = await asyncio.gather(refused, taken, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RecordingFailedError, tuple]
    await recorder.close()
    assert recorder.stats.records_lost == 1
    assert not recorder.stats.database_away
    assert len(database.rows(schema.interceptions)) == 3
    assert [row["prompt"] for row in database.rows(schema.user_prompts)] == ["Hello?"]
    assert database.row(schema.interceptions, id=start.id)["outcome"] == "completed"


async def test_a_refused_row_beside_a_tool_call_breaks_no_thread(
    database, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database, linger=10)
    await recorder.start(first := new_start())
    odd = msgspec.structs.replace(new_facts(first.id)[0], metadata={"n": object()})
    recorder.record(odd, *new_facts(first.id, "call"))
    await recorder.start(second := new_start(tool_result_ids=("call",)))
    await recorder.close()
    assert recorder.stats.records_lost == 1
    assert database.row(schema.interceptions, id=second.id)["thread_parent_id"] == first.id


async def test_a_fact_that_is_no_json_is_counted_when_it_is_spooled(
    database, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)
    prompt, *others = new_facts(start.id)
    odd = msgspec.structs.replace(prompt, metadata={"n": object()})
    with locked(database, recorder):
        recorder.record(odd, *others)
        await until(lambda: recorder.stats.records_spooled)
        assert (recorder.stats.records_spooled, recorder.stats.records_lost) == (3, 1)
    await until(lambda: not recorder.stats.database_away)
    await recorder.close()
    assert database.open_count() == 0


async def test_damaged_lines_of_the_spool_are_counted(database, make_recorder, new_start):
    path = database.state_dir / "spool.jsonl"
    path.write_bytes(b'{"type": "martian"}\n{"type": "torn')
    recorder = await make_recorder(database)
    assert recorder.stats.records_lost == 1
    assert path.stat().st_size == 0
    await recorder.close()


async def test_pruning_goes_on_between_starts(database, make_recorder, new_start, new_facts, clock):
    recorder = await make_recorder(database)
    old = [new_start() for _ in range(3 * MOST_AT_ONCE)]
    await asyncio.gather(*(recorder.start(start) for start in old))
    for start in old:
        recorder.record(*new_facts(start.id))
    clock.advance(10)
    await recorder.start(young := new_start())
    await until(lambda: recorder.queue_length == 0 and database.open_count() == 1)
    prunes = []
    prune = recorder._writer._store.prune
    recorder._writer._store.prune = lambda *args: prunes.append(args) or prune(*args)
    count, _ = await asyncio.gather(recorder.prune(clock.wall()), recorder.start(new_start()))
    assert count == 3 * MOST_AT_ONCE
    assert len(prunes) > 3
    assert max(limit for _, limit in prunes) <= MOST_AT_ONCE
    assert young.id in {row["id"] for row in database.rows(schema.interceptions)}
    assert database.counts()["aibridge_user_prompts"] == 0
    await recorder.close()


async def test_pruning_fails_while_the_database_is_away(database, make_recorder, new_start, clock):
    recorder = await make_recorder(database)
    with locked(database, recorder):
        with pytest.raises(RecordingFailedError):
            await recorder.start(new_start())
        with pytest.raises(RecordingFailedError):
            await recorder.prune(clock.wall() - timedelta(days=1))
    await recorder.close()


async def asleep(recorder):
    """Wait until the thread is."""
    await until(lambda: not recorder._writer._awake.locked())


async def test_what_is_committed_is_brought_to_the_disk_soon(
    database, make_recorder, new_start, clock
):
    recorder = await make_recorder(database, clock)
    done, store, keeper = [], recorder._writer._store, recorder._writer._disk_keeper
    store.flush = lambda: done.append("flush")
    store.checkpoint_aside = lambda: done.append("checkpoint") or True
    store.truncate_log = lambda: done.append("truncate")
    await recorder.start(new_start())
    await recorder.start(new_start())
    assert done == []
    clock.advance(FLUSH_S)
    await recorder.start(new_start())
    keeper.wake()  # as it does itself, once so much time is over
    await until(lambda: done)
    assert done == ["flush"]
    await recorder.start(new_start())
    clock.advance(CHECKPOINT_S)
    keeper.wake()
    await until(lambda: len(done) > 3)
    await recorder.close()
    assert done == ["flush", "flush", "checkpoint", "truncate"]


async def test_a_disk_that_fails_is_an_outage(database, make_recorder, new_start, clock):
    recorder = await make_recorder(database, clock)

    def fail():
        raise DatabaseAwayError("it can't be flushed: I/O error")

    go_on, store = threading.Event(), recorder._writer._store
    connect = store.connect

    def reconnect():
        assert go_on.wait(10)
        connect()

    store.flush, store.connect = fail, reconnect
    await recorder.start(new_start())
    clock.advance(FLUSH_S)
    recorder._writer._disk_keeper.wake()
    await until(lambda: recorder.stats.database_away)
    go_on.set()
    await until(lambda: not recorder.stats.database_away)
    await recorder.close()


@pytest.fixture
def by_thread():
    """What the thread commits from now on, as (starts, facts)."""

    def watch(recorder):
        committed, store = [], recorder._writer._store
        write = store.write

        def note(starts, facts):
            committed.append((len(starts), len(facts)))
            return write(starts, facts)

        store.write = note
        return committed

    return watch


async def test_a_commit_that_waits_for_nothing_needs_no_thread(
    sqlite_database, make_recorder, new_start, new_facts, by_thread
):
    recorder = await make_recorder(sqlite_database)
    committed = by_thread(recorder)
    await recorder.start(new_start())
    assert committed == [(1, 0)], "the first one begins the WAL"
    await asleep(recorder)
    first = new_start()
    await recorder.start(first)
    recorder.record(*new_facts(first.id, "call"))
    await recorder.start(new_start(tool_result_ids=("call",)))
    assert sqlite_database.counts()["aibridge_tool_usages"] == 1
    recorder.record(*new_facts(first.id))
    await until(lambda: recorder.queue_length == 0)
    assert sqlite_database.counts()["aibridge_tool_usages"] == 2
    await recorder.close()
    assert committed == [(1, 0)]


async def test_many_facts_are_committed_bit_by_bit_and_those_of_an_end_together(
    database, make_recorder, new_start, new_facts, commits
):
    recorder = await make_recorder(database)
    starts = [new_start() for _ in range(100)]
    for start in starts:
        await recorder.start(start)
    commits.clear()
    for start in starts:
        recorder.record(*new_facts(start.id))
    await until(lambda: recorder.queue_length == 0 and database.open_count() == 0)
    await recorder.close()
    assert len(commits) == 400 // FACTS_AT_ONCE + 1
    assert max(commits) == FACTS_AT_ONCE


async def test_a_slow_commit_makes_the_event_loop_leave_them_to_the_thread_for_a_while(
    sqlite_database, make_recorder, new_start, clock, by_thread
):
    recorder = await make_recorder(sqlite_database, clock)
    await recorder.start(new_start())
    await asleep(recorder)
    committed, store = by_thread(recorder), recorder._writer._store
    write_at_once = store.write_at_once

    def slow(*batch, **options):
        clock.advance(SLOW_S * 1.1)
        threading.Event().wait(0.001)  # in the kernel, as for the disk
        return write_at_once(*batch, **options)

    store.write_at_once = slow
    await recorder.start(new_start())
    await recorder.start(new_start())
    assert committed == []
    store.write_at_once = write_at_once
    await recorder.start(new_start())
    assert committed == [(1, 0)]
    await asleep(recorder)
    clock.advance(SHUN_S)
    await recorder.start(new_start())
    assert committed == [(1, 0)]
    await recorder.close()


async def test_the_thread_meets_what_the_event_loop_could_not_write(
    sqlite_database, make_recorder, new_start, new_facts, by_thread
):
    """A row that is refused, and another process that holds the lock for a moment."""
    recorder = await make_recorder(sqlite_database)
    await recorder.start(first := new_start())
    committed = by_thread(recorder)
    with pytest.raises(RecordingFailedError):
        await recorder.start(new_start(model=None))
    await recorder.start(new_start())
    committed.clear()
    with locked(sqlite_database, recorder):
        waiting = asyncio.ensure_future(recorder.start(new_start()))  # noqa: TID251
        for _ in range(GATHERING_TURNS + 2):  # until the event loop has tried
            await asyncio.sleep(0)
    await waiting
    assert committed == [(1, 0)]
    assert not recorder.stats.database_away
    recorder.record(*new_facts(first.id))
    await recorder.close()
    assert recorder.stats.records_lost == 0


async def test_a_refused_start_whose_commit_went_through_all_the_same_does_not_stay_open(
    database, make_recorder, new_start, monkeypatch
):
    """The connection broke between the database's commit and the word of it."""
    recorder = await make_recorder(database)
    store = recorder._writer._store
    write = store.write

    def write_and_break(starts, facts):
        write(starts, facts)
        monkeypatch.undo()
        raise DatabaseAwayError("connection lost")

    monkeypatch.setattr(store, "write", write_and_break)
    monkeypatch.setattr(store, "write_at_once", lambda *_, **__: None)
    with pytest.raises(RecordingFailedError):
        await recorder.start(new_start())
    await until(lambda: not recorder.stats.database_away)
    await recorder.close()
    row = database.row(schema.interceptions)
    assert (row["outcome"], row["status_code"]) == ("failed", 503)
    assert row["ended_at"] == row["started_at"]
