"""Long texts are cut, say so, and never keep the event loop while they are hashed."""

import threading
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from aibridged.records import schema
from aibridged.records.facts import (
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.journal import MAX_TEXT, Journal
from aibridged.records.spool import Spool
from aibridged.records.truncation import DEFAULT_MAX_BYTES, Truncator
from tests.waiting import until

AT = datetime(2026, 1, 1, tzinfo=UTC)
OWN = {"id": "p", "interception_id": "i", "created_at": AT}


def prompt(text, **fields):
    return UserPromptRecord(prompt=text, **OWN, **fields)


def marks(text, prefix=""):
    whole = text.encode()
    return {
        f"{prefix}cut": True,
        f"{prefix}length": len(whole),
        f"{prefix}sha256": sha256(whole).hexdigest(),
    }


@pytest.fixture
def truncator():
    made = Truncator(10)
    yield made
    made.close()


@pytest.mark.parametrize("text", ["", "x" * 10, "é" * 5, "🙂🙂xx"])
def test_what_fits_stays_as_it_is(truncator, text):
    record = prompt(text)
    assert truncator.truncate(record) is record


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 11, "x" * 10),
        ("é" * 6, "é" * 5),
        ("é" + "漢" * 3, "é" + "漢" * 2),  # 11 bytes; the last character would be halved
        ("🙂" * 3, "🙂" * 2),
        ("y" * 200_000, "y" * 10),  # several windows
        ("漢" * 70_000, "漢" * 3),
    ],
)
def test_what_does_not_fit_is_cut_between_characters_and_says_what_it_was(truncator, text, kept):
    record = truncator.truncate(prompt(text, metadata={"a": 1}))
    assert record == prompt(kept, metadata={"a": 1, **marks(text)})


def test_a_lone_surrogate_is_no_obstacle(truncator):
    assert truncator.truncate(prompt("\ud83d" * 20)).prompt == "?" * 10


def test_each_text_of_a_tool_call_has_marks_of_its_own(truncator):
    call = ToolUsageRecord(tool="ls", input="i" * 11, invocation_error="e" * 12, **OWN)
    cut = truncator.truncate(call)
    assert (cut.input, cut.invocation_error) == ("i" * 10, "e" * 10)
    assert cut.metadata == marks("i" * 11) | marks("e" * 12, "error_")
    fitting = ToolUsageRecord(tool="ls", input="{}", **OWN)
    assert truncator.truncate(fitting) is fitting


def test_a_thought_is_cut_too_and_what_has_no_text_is_not(truncator):
    assert truncator.truncate(ModelThoughtRecord(content="x" * 11, **OWN)).content == "x" * 10
    for record in (
        TokenUsageRecord(provider_response_id="x" * 99, **OWN),
        InterceptionEnd(interception_id="i", ended_at=AT, outcome=Outcome.COMPLETED),
    ):
        assert not truncator.may_truncate(record)
        assert truncator.truncate(record) is record


def test_what_was_cut_keeps_its_marks_when_less_is_kept_later(truncator):
    cut = truncator.truncate(prompt("x" * 20))
    truncator.max_bytes = 5
    assert truncator.truncate(cut) is cut
    assert not truncator.may_truncate(cut)


async def test_a_long_text_is_hashed_aside(truncator, monkeypatch):
    where, cut = [], truncator.truncate

    def noting(record):
        where.append(threading.current_thread())
        return cut(record)

    monkeypatch.setattr(truncator, "truncate", noting)
    short = prompt("x" * 10)
    assert not truncator.may_truncate(short)
    assert where == []
    assert (await truncator.truncate_in_thread(prompt("x" * 11))).prompt == "x" * 10
    assert where != [threading.main_thread()]


@pytest.fixture
def facts(new_start, clock):
    """A start, and facts of it whose texts are all too long."""
    start = new_start()
    own = {"interception_id": start.id, "created_at": clock.wall()}
    text = "x" * (DEFAULT_MAX_BYTES + 1)
    return start, [
        UserPromptRecord(id=uuid7(clock.wall()), prompt=text, **own),
        ToolUsageRecord(id=uuid7(clock.wall()), tool="ls", input=text, **own),
        ModelThoughtRecord(id=uuid7(clock.wall()), content=text, **own),
    ]


def assert_cut(database):
    for table, name in (
        (schema.user_prompts, "prompt"),
        (schema.tool_usages, "input"),
        (schema.model_thoughts, "content"),
    ):
        row = database.row(table)
        assert row[name] == "x" * DEFAULT_MAX_BYTES
        assert row["metadata"] == marks("x" * (DEFAULT_MAX_BYTES + 1))


async def test_the_writers_thread_cuts_what_the_loop_would_be_kept_by(
    database, make_recorder, facts
):
    told, threads = [], []

    def on_record(record):
        told.append(record)
        threads.append(threading.current_thread())

    recorder = await make_recorder(database, on_record=on_record)
    start, long = facts
    await recorder.start(start)
    recorder.record(*long)
    await until(lambda: len(told) == 4)
    await recorder.close()
    assert_cut(database)
    assert threading.main_thread() not in threads[1:]
    assert all(record.metadata["cut"] for record in told[1:])


async def test_the_spool_gets_what_is_kept(sqlite_database, make_recorder, facts, monkeypatch):
    recorder = await make_recorder(sqlite_database)
    start, long = facts
    await recorder.start(start)
    aside = sqlite_database.state_dir / "aside.db"
    (sqlite_database.state_dir / "aibridged.db").rename(aside)
    recorder.record(*long)
    await until(lambda: recorder.stats.spool_bytes)
    assert recorder.stats.spool_bytes < 4 * DEFAULT_MAX_BYTES
    aside.rename(sqlite_database.state_dir / "aibridged.db")
    await recorder.close()
    await (await make_recorder(sqlite_database)).close()
    assert_cut(sqlite_database)


async def test_what_an_earlier_release_spooled_is_cut_as_it_comes_back(
    database, make_recorder, facts, store
):
    start, long = facts
    store.write([start], [])
    spool = Spool(database.state_dir / "spool.jsonl")
    spool.open()
    spool.append(long)
    spool.close()
    recorder = await make_recorder(database)
    await recorder.close()
    assert_cut(database)


@pytest.mark.parametrize("length", [1_000, 2 * MAX_TEXT])
async def test_what_comes_back_from_the_journal_is_cut_too(
    database, make_recorder, new_start, store, clock, length
):
    """Beyond what the journal holds of a text, nobody counted or hashed it."""
    start = new_start()
    store.write([start], [])
    journal = Journal(database.state_dir / "journal.jsonl")
    journal.open()
    thought = ModelThoughtRecord(
        id=uuid7(clock.wall()),
        interception_id=start.id,
        created_at=clock.wall(),
        content="x" * length,
    )
    journal.append([thought])
    journal.close()
    recorder = await make_recorder(database, truncator=Truncator(100))
    await recorder.close()
    row = database.row(schema.model_thoughts)
    assert row["content"] == "x" * 100
    assert row["metadata"] == (marks("x" * length) if length <= MAX_TEXT else {"cut": True})
