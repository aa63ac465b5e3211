"""What the recorder's tests share; `database` is in the suite's own conftest."""

from collections.abc import AsyncIterator, Iterator

import pytest
from loguru import logger

from aibridged.clock import SystemClock
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.journal import Journal
from aibridged.records.query import Query
from aibridged.records.recorder import Recorder
from aibridged.records.spool import Spool
from aibridged.records.stats import RecorderStats
from aibridged.records.store import Store
from tests.records.remote import Group
from tests.viewers import EVERYTHING


@pytest.fixture
def store(database, clock) -> Iterator[Store]:
    made = Store(database.engine, clock)
    made.connect()
    yield made
    made.close()


@pytest.fixture
def make_recorder(clock):
    """Makes recorders on a database, which retry soon, and closes them in the end."""
    made = []

    of_ids = clock

    async def make(database, clock=None, **options) -> Recorder:
        spool = Spool(database.state_dir / "spool.jsonl")
        recorder = Recorder(
            Store(database.engine, of_ids),
            spool,
            Journal(database.state_dir / "journal.jsonl"),
            clock or SystemClock(),
            **{"retry_interval": 0.02, "linger": 0.01, **options},
        )
        await recorder.open()
        made.append(recorder)
        return recorder

    yield make
    assert all(recorder._closed for recorder in made), "a test left a recorder open"


@pytest.fixture
async def group(sqlite_database, clock) -> AsyncIterator[Group]:
    """A server of records that runs, and makes workers."""
    made = Group(sqlite_database, clock)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def messages():
    """What has been logged, as one text."""
    lines = []
    sink = logger.add(lines.append, format="{message}", level=0)
    yield lambda: "".join(lines)
    logger.remove(sink)


@pytest.fixture
def commits(monkeypatch) -> list[int]:
    """The size of each transaction that recorders have committed."""
    sizes = []
    count = RecorderStats.committed

    def note(stats: RecorderStats, records: int, seconds: float, at: float) -> None:
        sizes.append(records)
        count(stats, records, seconds, at)

    monkeypatch.setattr(RecorderStats, "committed", note)
    return sizes


@pytest.fixture
def new_start(clock):
    """Makes starts with ids of their own."""

    def make(**fields: object) -> InterceptionStart:
        fields = {
            "id": uuid7(clock.wall()),
            "initiator_id": "00000000-0000-4000-8000-000000000001",
            "provider": "anthropic",
            "provider_name": "anthropic",
            "model": "claude",
            "started_at": clock.wall(),
            **fields,
        }
        return InterceptionStart(**fields)

    return make


@pytest.fixture
def new_facts(clock):
    """Makes one fact of each kind that most requests have: a prompt, usage, a tool call, an end."""

    def make(interception_id: str, call: str = "call"):
        own = {"interception_id": interception_id, "created_at": clock.wall()}
        return [
            UserPromptRecord(id=uuid7(clock.wall()), prompt="Hello?", **own),
            TokenUsageRecord(id=uuid7(clock.wall()), input_tokens=1, output_tokens=2, **own),
            ToolUsageRecord(
                id=uuid7(clock.wall()), tool="ls", input="{}", provider_tool_call_id=call, **own
            ),
            InterceptionEnd(
                interception_id=interception_id,
                ended_at=clock.wall(),
                outcome=Outcome.COMPLETED,
                status_code=200,
            ),
        ]

    return make


@pytest.fixture
def query(database, clock):
    return Query(database.engine, clock, EVERYTHING)


@pytest.fixture
def add(store, new_start, clock):
    """Writes an interception with one usage and one prompt; ended unless told otherwise.

    `cost` is the amount and the label of both.
    """

    def add(*, ended=True, input=10, output=5, read=0, call=None, cost=(None, None), **fields):
        costs = dict(zip(("cost_nanos", "cost_label"), cost, strict=True))
        start = new_start(started_at=clock.wall(), **fields)
        facts = [
            UserPromptRecord(
                id=uuid7(clock.wall()),
                interception_id=start.id,
                created_at=clock.wall(),
                prompt=f"prompt of {start.model}",
            ),
            TokenUsageRecord(
                id=uuid7(clock.wall()),
                interception_id=start.id,
                created_at=clock.wall(),
                input_tokens=input,
                output_tokens=output,
                cache_read_input_tokens=read,
                **costs,
            ),
        ]
        if call is not None:
            facts.append(
                ToolUsageRecord(
                    id=uuid7(clock.wall()),
                    interception_id=start.id,
                    created_at=clock.wall(),
                    tool="ls",
                    input="{}",
                    provider_tool_call_id=call,
                )
            )
        if ended:
            facts.append(
                InterceptionEnd(
                    interception_id=start.id,
                    ended_at=clock.wall(),
                    outcome=Outcome.COMPLETED,
                    status_code=200,
                    **costs,
                )
            )
        store.write([start], [])
        store.write([], facts)
        return start.id

    return add
