"""Deleted text is in none of SQLite's files any more, whether or not a daemon runs."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from aibridged.clock import SystemClock
from aibridged.records.erasure import Erasure
from aibridged.records.facts import InterceptionEnd, Outcome, ToolUsageRecord, UserPromptRecord
from aibridged.records.ids import uuid7
from aibridged.records.pacing import Pace
from aibridged.records.retention import prune
from aibridged.records.scrubbing import REQUEST, scrub
from tests.waiting import until

ALICE = "00000000-0000-4000-8000-00000000000a"
SECRET = "marzipan-in-the-cellar"
KEPT = "parsnip-on-the-roof"


@pytest.fixture
def database(sqlite_database):
    return sqlite_database


def files_with(text, state_dir: Path):
    """The files of the state directory, and of those below it, that hold the text."""
    return [
        path.name
        for path in state_dir.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def starts_and_facts(new_start, clock, count=40):
    """Requests of two people in turns, with texts short and long."""
    for number in range(count):
        text, initiator = ((SECRET, ALICE), (KEPT, "bob"))[number % 2]
        start = new_start(initiator_id=initiator, user_agent=text)
        own = {"interception_id": start.id, "created_at": clock.wall()}
        long = f"{text} " * (1 + number % 5 * 400)
        yield (
            start,
            [
                UserPromptRecord(id=uuid7(clock.wall()), prompt=long, **own),
                ToolUsageRecord(id=uuid7(clock.wall()), tool="ls", input=long, **own),
                InterceptionEnd(
                    interception_id=start.id,
                    ended_at=clock.wall(),
                    outcome=Outcome.FAILED,
                    error_message=text,
                ),
            ],
        )
        clock.advance(1)


def test_without_a_daemon_the_command_empties_the_log(database, store, new_start, clock):
    for start, facts in starts_and_facts(new_start, clock):
        store.write([start], [])
        store.write([], facts)
    store.close()
    with closing(database.engine.raw_connection()) as reader:
        # It keeps the log from being removed when the command has closed the database.
        reader.execute("SELECT 1 FROM aibridge_interceptions").fetchall()
        assert len(files_with(SECRET, database.state_dir)) == 1
        erasure = Erasure(database.engine, clock, Pace(clock), clock.advance)
        erasure.erase(ALICE, 0, 60)
        assert files_with(SECRET, database.state_dir) != [], "it takes a checkpoint"
        assert erasure.scrub(database.state_dir, 5)
        assert files_with(SECRET, database.state_dir) == []
    assert files_with(KEPT, database.state_dir) == ["aibridged.db"]
    assert not Path(f"{database.engine.url.database}{REQUEST}").exists()


async def test_a_running_daemon_empties_its_log_though_nothing_is_asked_of_it(
    database, make_recorder, new_start, clock
):
    recorder = await make_recorder(database)
    for start, facts in starts_and_facts(new_start, clock):
        await recorder.start(start)
        recorder.record(*facts)
    await until(lambda: not database.open_count())
    system = SystemClock()
    erasure = Erasure(database.engine, system, Pace(system, 0.9))
    await asyncio.to_thread(erasure.erase, ALICE, 0, 60)
    assert await asyncio.to_thread(erasure.scrub, database.state_dir, 20)
    assert files_with(SECRET, database.state_dir) == []
    assert files_with(KEPT, database.state_dir) != []
    await recorder.start(new_start())
    await recorder.close()
    assert files_with(SECRET, database.state_dir) == []


async def test_a_reader_is_in_the_way_for_as_long_as_it_reads(
    database, make_recorder, new_start, clock
):
    recorder = await make_recorder(database)
    await recorder.start(new_start())
    with closing(database.engine.raw_connection()) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM aibridge_interceptions").fetchall()
        await recorder.start(new_start())
        done = await asyncio.to_thread(
            scrub, database.engine, database.state_dir, clock, 1, clock.advance
        )
        assert not done
    system = SystemClock()
    assert await asyncio.to_thread(
        Erasure(database.engine, system, Pace(system)).scrub, database.state_dir, 20
    )
    await recorder.close()


def test_what_is_pruned_is_overwritten_too(database, store, new_start, clock):
    for start, facts in starts_and_facts(new_start, clock):
        store.write([start], [])
        store.write([], facts)
    store.close()
    assert prune(database.engine, clock.wall(), Pace(clock), clock.advance) == 40
    assert files_with(SECRET, database.state_dir) == []


def test_postgres_needs_none(postgres_database, clock):
    assert scrub(postgres_database.engine, postgres_database.state_dir, clock, 0, clock.advance)
    assert list(postgres_database.state_dir.iterdir()) == []
