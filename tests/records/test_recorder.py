"""A start is committed when its caller goes on; facts never wait; many are written together."""

import asyncio
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest

from aibridged.records import recorder as recorder_module
from aibridged.records import schema
from aibridged.records.facts import InterceptionEnd, Outcome, ended_at
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.journal import Journal
from aibridged.records.recorder import ALONE_S, ENOUGH, GATHERING_TURNS, Recorder
from aibridged.records.spool import Spool, SpoolInUseError
from aibridged.records.stalled_starts import STALL_S
from aibridged.records.store import DatabaseAwayError, Store
from tests.waiting import until


@contextmanager
def stalled(recorder):
    """The thread waits in the middle of its first commit in here, until the block is left.

    The event loop finds that it can't write at once, as when the disk is to be waited for.
    """
    store = recorder._writer._store
    store.write_at_once = lambda *_, **__: None
    write, entered, go_on = store.write, threading.Event(), threading.Event()

    def wait(starts, facts):
        entered.set()
        assert go_on.wait(10)
        return write(starts, facts)

    store.write = wait
    try:
        yield entered
    finally:
        go_on.set()
        store.write = write
        del store.write_at_once


async def test_a_start_is_committed_when_its_caller_goes_on(database, make_recorder, new_start):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)
    assert database.row(schema.interceptions)["id"] == start.id
    await recorder.close()


async def test_a_request_leaves_exactly_its_rows(
    database, make_recorder, new_start, new_facts, commits
):
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)
    facts = new_facts(start.id)
    recorder.record(*facts)
    await recorder.close()
    assert database.counts() == {
        "aibridge_interceptions": 1,
        "aibridge_token_usages": 1,
        "aibridge_user_prompts": 1,
        "aibridge_tool_usages": 1,
        "aibridge_model_thoughts": 0,
        "aibridged_stored_objects": 0,
        "aibridged_refusals": 0,
        "aibridged_cost_revisions": 0,
        "aibridged_spend": 0,
        "aibridged_budget_alerts": 0,
        "aibridged_usage_hours": 0,
        "aibridged_usage_days": 0,
        "aibridged_usage_months": 0,
        **{
            f"aibridged_usage_{span}_by_{by}": 0
            for span in ("days", "months")
            for by in ("client", "model", "user", "user_model")
        },
        "aibridged_summarised_spans": 0,
        "aibridged_prompt_fingerprints": 0,
        "aibridged_usual_costs": 0,
    }
    assert database.row(schema.user_prompts)["id"] == facts[0].id
    assert database.row(schema.interceptions)["outcome"] == "completed"
    assert sum(commits) == 5
    assert recorder.stats.records_lost == 0


async def test_facts_are_written_without_more_ado(
    database, make_recorder, new_start, new_facts, commits
):
    """Nobody closes the recorder, and no other start comes."""
    recorder = await make_recorder(database)
    start = new_start()
    await recorder.start(start)
    recorder.record(*new_facts(start.id))
    await until(lambda: recorder.queue_length == 0 and len(commits) == 2)
    assert database.open_count() == 0
    await recorder.close()


@pytest.mark.parametrize(
    ("others", "sets", "is_committed"),
    [(0, 1, True), (1, 1, False), (1, ENOUGH, True)],
    ids=["no other request", "others come", "many facts"],
)
async def test_facts_wait_for_those_of_requests_that_come(
    database, make_recorder, new_start, new_facts, others, sets, is_committed
):
    recorder = await make_recorder(database, linger=1000)
    start = new_start()
    await recorder.start(start)
    for _ in range(sets):
        recorder.record(*new_facts(start.id))
    started = recorder._started
    await asyncio.gather(*(recorder.start(new_start()) for _ in range(others)))
    recorder._flush_unless_more_come(started)
    if is_committed:
        await until(lambda: recorder.queue_length == 0)
    else:
        assert recorder.queue_length == len(new_facts(start.id))
    await recorder.close()


async def test_facts_that_wait_longer_are_committed_once_they_are_many(
    database, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database, linger=1000)
    start = new_start()
    await recorder.start(start)
    recorder.record(*new_facts(start.id))
    recorder._flush_unless_more_come(0)
    while recorder.queue_length + len(new_facts(start.id)) < ENOUGH:
        recorder.record(*new_facts(start.id))
        await asyncio.sleep(0)
    waiting = recorder.queue_length
    recorder.record(*new_facts(start.id))
    await until(lambda: recorder.queue_length == 0)
    assert waiting == ENOUGH - len(new_facts(start.id))
    recorder.record(*new_facts(start.id))
    await asyncio.sleep(0)
    assert recorder.queue_length == len(new_facts(start.id)), "those after them wait again"
    await recorder.close()


async def test_starts_that_come_together_share_a_commit(
    database, make_recorder, new_start, commits
):
    recorder = await make_recorder(database)
    await asyncio.gather(*(recorder.start(new_start()) for _ in range(200)))
    assert len(database.rows(schema.interceptions)) == 200
    assert len(commits) < 20
    assert max(commits) > 10
    await recorder.close()


@pytest.fixture
def gathered(monkeypatch):
    """How many starts were gathered for each commit."""
    counts = []
    commit = Recorder._commit_starts

    def note(recorder):
        counts.append(len(recorder._starts))
        commit(recorder)

    monkeypatch.setattr(Recorder, "_commit_starts", note)
    return counts


async def test_starts_that_turn_after_turn_brings_share_a_commit(
    database, make_recorder, new_start, gathered
):
    recorder = await make_recorder(database)

    async def later(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        await recorder.start(new_start())

    await asyncio.gather(*(later(turns) for turns in range(3)))
    assert gathered == [3]
    await recorder.close()


async def test_a_start_does_not_wait_for_ever_more_to_come(
    database, make_recorder, new_start, gathered
):
    recorder = await make_recorder(database)
    starts = []
    while not gathered:
        starts.append(asyncio.ensure_future(recorder.start(new_start())))  # noqa: TID251
        await asyncio.sleep(0)
        assert len(starts) < GATHERING_TURNS + 3
    await asyncio.gather(*starts)
    await recorder.close()


async def test_a_start_that_comes_alone_after_another_is_committed_at_once(
    sqlite_database, make_recorder, new_start, gathered, clock, commits
):
    recorder = await make_recorder(sqlite_database, clock)
    await recorder.start(new_start())
    await recorder.start(new_start())
    assert gathered == [1, 1], "just after it others may follow"
    clock.advance(ALONE_S * 2)
    await until(lambda: not recorder._writer._awake.locked())  # the thread made the first commit
    starting = recorder.start(new_start())
    with pytest.raises(StopIteration):  # without a turn of the event loop
        starting.send(None)
    assert gathered == [1, 1]
    assert commits == [1, 1, 1]
    await asyncio.gather(*(recorder.start(new_start()) for _ in range(2)))
    clock.advance(ALONE_S * 2)
    await recorder.start(new_start())
    assert gathered == [1, 1, 2, 1], "the last ones came together"
    await recorder.close()


async def test_a_start_that_comes_alone_is_tried_at_once_only_once(
    sqlite_database, make_recorder, new_start, clock, monkeypatch
):
    """After that it may be there, which `Store.write` alone looks for."""
    recorder = await make_recorder(sqlite_database, clock)
    await recorder.start(new_start())
    clock.advance(ALONE_S * 2)
    await until(lambda: not recorder._writer._awake.locked())
    tried = []

    def refuse(starts, facts, **_options):
        tried.extend(each.id for each in starts)

    monkeypatch.setattr(recorder._store, "write_at_once", refuse)
    start = new_start()
    await recorder.start(start)
    assert tried == [start.id]
    await recorder.close()


async def test_starts_that_come_during_a_commit_share_the_next(
    database, make_recorder, new_start, commits
):
    recorder = await make_recorder(database)
    with stalled(recorder) as entered:
        first = asyncio.ensure_future(recorder.start(new_start()))  # noqa: TID251
        await until(entered.is_set)
        others = asyncio.gather(*(recorder.start(new_start()) for _ in range(50)))
        await until(lambda: recorder._work.qsize() == 50)
        assert recorder.queue_length == 51
    await first
    await others
    assert commits == [1, 50]
    assert recorder.queue_length == 0
    await recorder.close()


async def test_facts_do_not_travel_with_starts_unless_one_continues_a_call(
    database, make_recorder, new_start, new_facts
):
    """Which would cost every start the facts' indexes; but a thread must be found."""
    recorder = await make_recorder(database, linger=10)
    first = new_start()
    await recorder.start(first)
    recorder.record(*new_facts(first.id, "call"))
    await recorder.start(new_start(tool_result_ids=("another",)))
    assert database.counts()["aibridge_tool_usages"] == 0
    second = new_start(tool_result_ids=("call",))
    await recorder.start(second)
    assert database.counts()["aibridge_tool_usages"] == 1
    assert database.row(schema.interceptions, id=second.id)["thread_parent_id"] == first.id
    await recorder.close()


async def test_a_full_queue_refuses_starts_and_keeps_facts(
    database, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database, queue_limit=4)
    first = new_start()
    await recorder.start(first)
    with stalled(recorder) as entered:
        second = asyncio.ensure_future(recorder.start(new_start()))  # noqa: TID251
        await until(entered.is_set)
        recorder.record(*new_facts(first.id))
        with pytest.raises(RecordingFailedError):
            await recorder.start(new_start())
        recorder.record(*new_facts(first.id))
        assert recorder.queue_length == 9
    await second
    await recorder.close()
    assert database.counts()["aibridge_user_prompts"] == 2
    assert len(database.rows(schema.interceptions)) == 2
    assert recorder.stats.starts_refused == 1


async def test_a_callers_own_backlog_counts_against_that_caller(
    database, make_recorder, new_start, new_facts
):
    """A response may leave hundreds of facts; others must not be refused for it."""
    recorder = await make_recorder(database, queue_limit=60)
    await recorder.start(first := new_start(initiator_id="greedy"))
    with stalled(recorder) as entered:
        waiting = asyncio.ensure_future(recorder.start(new_start()))  # noqa: TID251
        await until(entered.is_set)
        for _ in range(7):
            recorder.record(*new_facts(first.id), initiator_id="greedy")
        starting = asyncio.ensure_future(recorder.start(new_start(initiator_id="greedy")))  # noqa: TID251
        await until(lambda: recorder._waiting == 2 and not recorder._starts)
        recorder.record(*new_facts(first.id), initiator_id="greedy")
        with pytest.raises(RecordingFailedError):
            await recorder.start(new_start(initiator_id="greedy"))
        other = asyncio.ensure_future(recorder.start(new_start(initiator_id="modest")))  # noqa: TID251
        await until(lambda: recorder._waiting == 3 and not recorder._starts)
        recorder.record(*new_facts(first.id)[:1] * 30, initiator_id="greedy")
        with pytest.raises(RecordingFailedError):
            await recorder.start(new_start(initiator_id="modest"))
    await asyncio.gather(waiting, starting, other)
    await until(lambda: recorder.queue_length == 0)
    await recorder.start(new_start(initiator_id="greedy"))
    await recorder.close()
    assert recorder.stats.starts_refused == 2


async def test_a_start_that_is_cancelled_while_it_waits_ends(database, make_recorder, new_start):
    recorder = await make_recorder(database)
    with stalled(recorder) as entered:
        task = asyncio.ensure_future(recorder.start(new_start()))  # noqa: TID251
        await until(entered.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await recorder.close()
    row = database.row(schema.interceptions)
    assert row["outcome"] == "client_closed"
    assert row["ended_at"] >= row["started_at"]


async def test_the_end_of_a_cancelled_start_does_not_overtake_it(
    sqlite_database, make_recorder, new_start, new_facts, clock
):
    """The thread has no time while the start waits; the event loop commits facts meanwhile."""
    recorder = await make_recorder(sqlite_database, clock)
    await recorder.start(first := new_start())
    writer, entered, go_on = recorder._writer, threading.Event(), threading.Event()
    store, take = writer._store, writer._take
    writer._take = lambda: entered.set() or (go_on.wait(10) and take())
    recorder._work.put(None)
    await until(entered.is_set)
    before = recorder.queue_length
    write_at_once = store.write_at_once
    store.write_at_once = lambda starts, facts, **_: (
        None if starts else write_at_once(starts, facts)
    )
    task = asyncio.ensure_future(recorder.start(cancelled := new_start()))  # noqa: TID251
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.queue_length == before + 2, "nobody waits for them, and they wait"
    recorder.record(*new_facts(first.id))
    await until(lambda: sqlite_database.counts()["aibridge_user_prompts"] == 1)
    go_on.set()
    await recorder.close()
    row = sqlite_database.row(schema.interceptions, id=cancelled.id)
    assert row["outcome"] == "client_closed"


async def test_the_end_of_a_start_that_is_cancelled_while_it_gathers_stands_behind_it(
    database, make_recorder, new_start
):
    recorder = await make_recorder(database)
    gathering, abandon = [], recorder._abandon
    recorder._abandon = lambda *given: gathering.append(len(recorder._starts)) or abandon(*given)
    task = asyncio.ensure_future(recorder.start(cancelled := new_start()))  # noqa: TID251
    await asyncio.sleep(0)
    assert len(recorder._starts) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gathering == [0]
    await recorder.close()
    assert database.row(schema.interceptions, id=cancelled.id)["outcome"] == "client_closed"


async def test_what_an_earlier_recorder_left_is_put_right(
    database, make_recorder, new_start, new_facts, clock
):
    """Of two open rows one has its end in the spool; the other was interrupted."""
    recorder = await make_recorder(database)
    spooled, interrupted = new_start(), new_start()
    await recorder.start(spooled)
    await recorder.start(interrupted)
    await recorder.close()
    spool = Spool(database.state_dir / "spool.jsonl")
    spool.open()
    spool.append(new_facts(spooled.id))
    spool.close()
    clock.advance(60)
    successor = await make_recorder(database, clock)
    assert database.row(schema.interceptions, id=spooled.id)["outcome"] == "completed"
    assert database.counts()["aibridge_user_prompts"] == 1
    row = database.row(schema.interceptions, id=interrupted.id)
    assert (row["outcome"], row["ended_at"]) == ("interrupted", clock.wall())
    assert successor.stats.records_replayed == 4
    assert (successor.stats.spool_bytes, successor.stats.records_lost) == (0, 0)
    await successor.close()


async def test_a_start_that_a_hung_disk_holds_up_is_refused_and_so_are_all_until_it_answers(
    sqlite_database, make_recorder, new_start, clock, messages
):
    recorder = await make_recorder(sqlite_database, clock)
    with stalled(recorder) as entered:
        held_up = new_start()
        waiting = asyncio.ensure_future(recorder.start(held_up))  # noqa: TID251
        await until(entered.is_set)
        clock.advance(STALL_S)
        with pytest.raises(RecordingFailedError):
            async with asyncio.timeout(10):
                await waiting
        assert recorder.stats.refuses
        with pytest.raises(RecordingFailedError):  # and at once
            await recorder.start(new_start())
        assert recorder.stats.starts_refused == 2
    await until(lambda: not recorder.stats.refuses)
    await recorder.start(new_start())
    await recorder.close()
    row = sqlite_database.row(schema.interceptions, id=held_up.id)
    assert (row["outcome"], row["status_code"]) == ("failed", 503)
    assert messages().count("has not answered for") == 1
    assert "answers again" in messages()


async def test_a_thread_that_never_comes_back_holds_up_no_end(
    sqlite_database, make_recorder, new_start, new_facts, clock, monkeypatch, messages
):
    monkeypatch.setattr(recorder_module, "_LAST_S", 0.1)
    recorder = await make_recorder(sqlite_database, clock)
    await recorder.start(start := new_start())
    with stalled(recorder) as entered:
        waiting = asyncio.ensure_future(recorder.start(new_start()))  # noqa: TID251
        await until(entered.is_set)
        recorder.record(*new_facts(start.id))
        recorder.finish_by(0)
        async with asyncio.timeout(10):
            await recorder.close()
        assert "is in the journal" in messages()
        assert recorder.stats.lost_at_end == 0
        successor = Journal(sqlite_database.state_dir / "journal.jsonl")
        successor.open()
        [facts] = successor.read()
        assert len(facts) == 4
        successor.close()
    recorder._thread.join()
    await waiting


async def test_a_coarse_and_a_backstepping_clock_end_nothing_before_its_start(
    database, make_recorder, new_start, clock
):
    """Ends are made of the start and a monotonic duration, whatever the wall clock says."""

    class SteppingClock:
        """Its wall clock has steps of a second, and goes back an hour in the middle."""

        back = timedelta()

        def monotonic(self):
            return clock.monotonic()

        def wall(self):
            return (clock.wall() - self.back).replace(microsecond=0)

    stepping = SteppingClock()
    recorder = await make_recorder(database, stepping)
    for back in (timedelta(), timedelta(hours=1)):
        for _ in range(3):
            began, start = stepping.monotonic(), new_start(started_at=stepping.wall())
            await recorder.start(start)
            clock.advance(0.4)
            stepping.back = back
            at = ended_at(start.started_at, stepping.monotonic() - began)
            recorder.record(
                InterceptionEnd(interception_id=start.id, ended_at=at, outcome=Outcome.COMPLETED)
            )
    left_open = new_start(started_at=clock.wall())
    await recorder.start(left_open)
    await recorder.close()
    successor = await make_recorder(database, stepping)
    await successor.close()
    rows = database.rows(schema.interceptions)
    durations = [row["ended_at"] - row["started_at"] for row in rows]
    assert sorted(durations) == [timedelta(0)] + [timedelta(seconds=0.4)] * 6


async def test_a_database_that_is_not_there_is_said_at_once(database, tmp_path, clock):
    if database.is_sqlite:
        (tmp_path / "aibridged.db").write_bytes(b"no database" * 100)
    else:
        url = database.url.set(database="nowhere")
        database = type(database)(url, tmp_path)
    spool = Spool(tmp_path / "spool.jsonl")
    journal = Journal(tmp_path / "journal.jsonl")
    recorder = Recorder(Store(database.engine), spool, journal, clock)
    with pytest.raises(DatabaseAwayError):
        await recorder.open()
    spool.open()  # nobody holds it
    spool.close()


async def test_two_recorders_do_not_share_a_state_directory(database, make_recorder, clock):
    recorder = await make_recorder(database)
    files = Spool(database.state_dir / "spool.jsonl"), Journal(database.state_dir / "journal.jsonl")
    other = Recorder(Store(database.engine), *files, clock)
    with pytest.raises(SpoolInUseError):
        await other.open()
    await recorder.close()


async def test_a_closed_recorder_refuses_and_counts(database, make_recorder, new_start, new_facts):
    recorder = await make_recorder(database)
    await recorder.close()
    await recorder.close()
    with pytest.raises(RecordingFailedError):
        await recorder.start(new_start())
    with pytest.raises(RecordingFailedError):
        await recorder.prune(new_start().started_at)
    recorder.record(*new_facts("i"))
    assert recorder.stats.records_lost == 4


async def test_facts_that_are_due_while_it_closes_hold_nothing_up(
    database, make_recorder, new_start, new_facts
):
    recorder = await make_recorder(database, linger=0)
    start = new_start()
    await recorder.start(start)
    with stalled(recorder) as entered:
        recorder.record(*new_facts(start.id))
        await until(entered.is_set)
        recorder.record(*new_facts(start.id))
        closing = asyncio.ensure_future(recorder.close())  # noqa: TID251
        # The word to close is in the queue, and behind it that facts are due.
        await until(lambda: recorder._work.qsize() == 2)
    async with asyncio.timeout(10):
        await closing
    assert database.counts()["aibridge_user_prompts"] == 2


async def test_records_are_told_of_after_their_commit_and_only_then(
    database, make_recorder, new_start, new_facts
):
    told = []
    recorder = await make_recorder(
        database, on_record=lambda record: told.append((record, database.counts()))
    )
    start = new_start()
    await recorder.start(start)
    facts = new_facts(start.id)
    recorder.record(*facts)
    await recorder.close()
    assert [record for record, _ in told] == [start, *facts]
    assert told[0][1]["aibridge_interceptions"] == 1
    assert told[-1][1]["aibridge_user_prompts"] == 1


async def test_a_listener_that_fails_harms_nobody(database, make_recorder, new_start, commits):
    def fail(record):
        raise ZeroDivisionError

    recorder = await make_recorder(database, on_record=fail)
    await recorder.start(new_start())
    await recorder.start(new_start())
    await recorder.close()
    assert sum(commits) == 2
