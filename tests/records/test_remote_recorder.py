"""Workers and the server that writes for them keep the promises of a recorder."""

import asyncio
from contextlib import nullcontext
from datetime import date

import msgspec
import pytest

from aibridged.core.budgets import Check
from aibridged.records import schema
from aibridged.records.facts import InterceptionEnd, Outcome, Reservation, StoredObjectRecord
from aibridged.records.jobs import BudgetExceededError, RecordingFailedError
from aibridged.records.remote_journal import journal_path
from aibridged.records.remote_recorder import PLENTY
from aibridged.records.store import DatabaseAwayError
from aibridged.records.truncation import Truncator
from tests.waiting import until


def rows_of(database):
    return {row["id"]: row for row in database.rows(schema.interceptions)}


def has_ended(database, start) -> bool:
    return rows_of(database).get(start.id, {}).get("ended_at") is not None


def reserving(amount: int, cap: int = 1000):
    check = Check("organisation", date(2026, 1, 1), cap)
    return Reservation(amount=amount, checks=(check,), charged_to=("organisation",))


async def test_starts_of_several_workers_are_committed_together(
    group, new_start, sqlite_database, commits
):
    workers = [await group.worker() for _ in range(3)]
    starts = [new_start() for _ in range(6)]
    before = len(commits)
    await asyncio.gather(
        *(worker.start(start) for worker, start in zip(2 * workers, starts, strict=True))
    )
    assert rows_of(sqlite_database).keys() == {start.id for start in starts}
    assert len(commits) - before < 6
    owners = {row["recorder_id"] for row in rows_of(sqlite_database).values()}
    assert owners == {worker.id for worker in workers}


async def test_facts_follow_and_leave_the_journal_once_they_are_kept(
    group, new_start, new_facts, sqlite_database
):
    worker = await group.worker()
    start = new_start()
    await worker.start(start)
    worker.record(*new_facts(start.id), initiator_id="ann")
    assert worker.journal_bytes > 0
    assert worker.queue_length == 4
    await until(lambda: not worker.queue_length)
    assert worker.journal_bytes == 0
    assert rows_of(sqlite_database)[start.id]["outcome"] == "completed"
    assert len(sqlite_database.rows(schema.user_prompts)) == 1


async def test_what_is_queued_is_written_at_the_end(group, new_start, new_facts, sqlite_database):
    worker = await group.worker(linger=60)
    start = new_start()
    await worker.start(start)
    worker.record(*new_facts(start.id))
    await worker.close()
    assert rows_of(sqlite_database)[start.id]["outcome"] == "completed"
    assert not journal_path(group.state_dir, worker.id).exists()
    with pytest.raises(RecordingFailedError):
        await worker.start(new_start())


async def test_spend_limits_hold_for_all_workers(group, new_start, sqlite_database):
    one, other = await group.worker(), await group.worker()
    first = new_start(reservation=reserving(600))
    assert await one.start(first) == (0,)
    with pytest.raises(BudgetExceededError) as refused:
        await other.start(new_start(reservation=reserving(600)))
    assert refused.value.used == (600,)
    assert not other._scarce  # what was refused has no end that would remove it
    assert await other.start(new_start(reservation=reserving(400))) == (600,)
    # What an end leaves of a budget is there for the very next request, to whichever worker.
    one.record(
        InterceptionEnd(
            interception_id=first.id,
            ended_at=first.started_at,
            outcome=Outcome.COMPLETED,
            cost_nanos=10,
        )
    )
    assert await other.start(new_start(reservation=reserving(500))) == (410,)


@pytest.mark.parametrize(("cap", "is_sent"), [(PLENTY, False), (PLENTY - 1, True)])
async def test_what_an_end_leaves_waits_where_plenty_is_left(group, new_start, cap, is_sent):
    one, other = await group.worker(linger=60), await group.worker(linger=60)
    first = new_start(reservation=reserving(1, cap))
    await one.start(first)
    end = InterceptionEnd(
        interception_id=first.id, ended_at=first.started_at, outcome=Outcome.COMPLETED
    )
    one.record(end)
    all_of_it = new_start(reservation=reserving(cap, cap))
    with nullcontext() if is_sent else pytest.raises(BudgetExceededError):
        assert await other.start(all_of_it) == (0,)


async def test_a_call_is_found_by_the_request_that_continues_it_at_another_worker(
    group, new_start, new_facts, sqlite_database
):
    one, other = await group.worker(linger=60), await group.worker(linger=60)
    first = new_start()
    await one.start(first)
    one.record(*new_facts(first.id, call="call-1"))
    second = new_start(tool_result_ids=("call-1",))
    await other.start(second)
    assert rows_of(sqlite_database)[second.id]["thread_parent_id"] == first.id


async def test_who_made_what_is_stored_is_on_record_at_once(group, new_start, sqlite_database):
    worker = await group.worker(linger=60)
    group.recorder._linger = 60
    start = new_start()
    await worker.start(start)
    worker.record(
        StoredObjectRecord(
            provider_name="openai",
            object_id="resp_1",
            initiator_id=start.initiator_id,
            created_at=start.started_at,
        )
    )
    await until(lambda: sqlite_database.rows(schema.stored_objects))


async def test_without_the_writer_starts_are_refused_and_facts_wait(
    group, new_start, new_facts, sqlite_database, messages
):
    worker = await group.worker()
    start = new_start()
    await worker.start(start)
    await group.stop()
    await until(lambda: worker.stats.refuses)
    worker.record(*new_facts(start.id))
    with pytest.raises(RecordingFailedError):
        await worker.start(new_start())
    assert worker.stats.starts_refused == 1
    await group.start()
    assert rows_of(sqlite_database)[start.id]["ended_at"] is None, "its worker lives"
    await until(lambda: not worker.stats.refuses and not worker.queue_length)
    assert rows_of(sqlite_database)[start.id]["outcome"] == "completed"
    assert "until the process that writes the records is back" in messages()


async def test_a_start_whose_answer_is_lost_is_refused_and_ended(group, new_start, sqlite_database):
    worker = await group.worker()
    start = new_start(reservation=reserving(100))
    # It is committed, but its connection ends before the answer.
    with group.holding_starts():
        waiting = asyncio.ensure_future(worker.start(start))  # noqa: TID251
        await until(lambda: group.recorder._starts)
        (member,) = group.server._members
        member._drop("for the test")
    with pytest.raises(RecordingFailedError):
        await waiting
    await until(lambda: not worker.stats.refuses and not worker.queue_length)
    assert rows_of(sqlite_database)[start.id]["status_code"] == 503
    assert [row["reserved_nanos"] for row in sqlite_database.rows(schema.spend)] == [0, 0]


async def test_a_dead_workers_journal_is_replayed_and_what_it_left_open_is_ended(
    group, new_start, new_facts, sqlite_database
):
    sibling, worker = await group.worker(), await group.worker(linger=60)
    known, opened, others = new_start(), new_start(), new_start()
    await asyncio.gather(worker.start(known), worker.start(opened), sibling.start(others))
    prompt, usage, _, end = new_facts(known.id)
    worker.record(prompt, usage, end)
    await group.lose(worker)
    await until(lambda: has_ended(sqlite_database, opened))
    rows = rows_of(sqlite_database)
    assert rows[known.id]["outcome"] == "completed"
    assert rows[opened.id]["outcome"] == "interrupted"
    assert rows[others.id]["ended_at"] is None
    assert not journal_path(group.state_dir, worker.id).exists()


async def test_who_gives_up_a_start_leaves_nothing_open(group, new_start, sqlite_database):
    worker = await group.worker()
    start = new_start()
    with group.holding_starts():
        waiting = asyncio.ensure_future(worker.start(start))  # noqa: TID251
        await until(lambda: group.recorder._starts)
        unsent = asyncio.ensure_future(worker.start(new_start()))  # noqa: TID251
        await asyncio.sleep(0)
        for each in (waiting, unsent):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each
    await until(lambda: has_ended(sqlite_database, start))
    assert rows_of(sqlite_database)[start.id]["outcome"] == "client_closed"
    assert sqlite_database.open_count() == 0


async def test_a_writer_that_does_not_answer_is_not_waited_for(
    group, new_start, clock, sqlite_database, messages
):
    worker = await group.worker(clock=clock, stall=5)
    start = new_start()
    with group.holding_starts():
        waiting = asyncio.ensure_future(worker.start(start))  # noqa: TID251
        await until(lambda: group.recorder._starts)
        clock.advance(6)
        with pytest.raises(RecordingFailedError):
            await waiting
        assert worker.stats.refuses
        assert "has not answered for 5 s" in messages()
    await until(lambda: not worker.stats.refuses)
    # It was committed in the end, and its request never went upstream.
    await until(lambda: has_ended(sqlite_database, start))
    assert rows_of(sqlite_database)[start.id]["status_code"] == 503


async def test_a_database_that_is_away_is_known_to_workers(
    group, new_start, new_facts, sqlite_database
):
    worker = await group.worker()
    start = new_start()
    await worker.start(start)
    path = sqlite_database.state_dir / "aibridged.db"
    path.rename(path.with_suffix(".away"))
    with pytest.raises(RecordingFailedError):
        await worker.start(new_start())
    worker.record(*new_facts(start.id))
    await until(lambda: not worker.queue_length)  # the writer has them in its spool
    assert group.recorder.stats.records_spooled
    assert worker.stats.refuses
    path.with_suffix(".away").rename(path)
    await until(lambda: not group.recorder.stats.refuses)
    await until(lambda: not worker.stats.refuses)
    await worker.start(new_start())
    assert rows_of(sqlite_database)[start.id]["outcome"] == "completed"


async def test_texts_are_truncated_before_they_are_sent(
    group, new_start, new_facts, sqlite_database
):
    truncator = Truncator(1000)
    worker = await group.worker(truncator=truncator)
    start = new_start()
    await worker.start(start)
    prompt, _, tool, end = new_facts(start.id)
    worker.record(prompt)
    worker.record(msgspec.structs.replace(tool, input="ä" * 600_000), end)
    await until(lambda: not worker.queue_length)
    row = sqlite_database.row(schema.tool_usages)
    assert len(row["input"]) == 500
    assert row["metadata"]["length"] == 1_200_000
    truncator.close()


async def test_lone_surrogates_and_numbers_beyond_a_frame(
    group, new_start, new_facts, sqlite_database, messages
):
    worker = await group.worker()
    start = new_start(model="m\ud800", client_session_id="\udfff", tool_result_ids=("\ud800",))
    await worker.start(start)
    prompt, usage, _, end = new_facts(start.id)
    worker.record(msgspec.structs.replace(usage, input_tokens=2**70))
    worker.record(msgspec.structs.replace(prompt, prompt="\ud800!"), end)
    await until(lambda: not worker.queue_length)
    assert rows_of(sqlite_database)[start.id]["outcome"] == "completed"
    assert sqlite_database.row(schema.user_prompts)["prompt"] == "?!"
    assert worker.stats.records_lost == 1
    assert "can't be sent" in messages()


async def test_the_queue_is_bounded_and_a_caller_has_a_share(group, new_start, new_facts):
    worker = await group.worker(queue_limit=40, linger=60)
    start = new_start()
    await worker.start(start)
    await group.stop()
    await until(lambda: not worker._link.is_up)
    worker.stats.database_away = False
    for _ in range(5):
        worker.record(*new_facts(start.id), initiator_id=start.initiator_id)
    with pytest.raises(RecordingFailedError):
        await worker.start(start)
    await group.start()
    await until(lambda: not worker.queue_length)


async def test_without_a_writer_it_can_not_be_opened(group, monkeypatch):
    await group.stop()
    monkeypatch.setattr("aibridged.records.remote_recorder.OPEN_S", 0.05)
    with pytest.raises(DatabaseAwayError, match="can't be used: No such file"):
        await group.make_worker().open()
    group.workers.clear()


async def test_callbacks_get_what_is_kept(group, new_start, new_facts):
    told = []
    worker = await group.worker(on_record=told.append)
    start = new_start()
    await worker.start(start)
    assert told == [start]
    facts = new_facts(start.id)
    worker.record(*facts)
    await until(lambda: not worker.queue_length)
    assert told == [start, *facts]


async def test_what_is_not_kept_at_the_end_is_in_the_journal(
    group, new_start, new_facts, sqlite_database, messages
):
    worker = await group.worker(linger=60)
    start = new_start()
    await worker.start(start)
    await group.stop()
    await until(lambda: worker.stats.refuses)
    worker.record(*new_facts(start.id))
    await worker.close()
    assert worker.stats.lost_at_end == 0
    assert "in the journal" in messages()
    await group.start()
    assert rows_of(sqlite_database)[start.id]["outcome"] == "completed"
