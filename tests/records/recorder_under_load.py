"""A process that records as fast as it can, and says of each start that it is committed.

Run by the test that kills it: `recorder_under_load.py STATE_DIR [POSTGRES_URL]`. It writes the id
of each start to its standard output after `Recorder.start` has returned, as a request would only
then go upstream.
"""

import asyncio
import os
import sys
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.records.database import database_url, make_engine
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.journal import Journal
from aibridged.records.recorder import Recorder
from aibridged.records.spool import Spool
from aibridged.records.store import Store


async def agent(recorder: Recorder, clock: SystemClock) -> None:
    """One request after the other."""
    while True:
        id, at = uuid7(clock.wall()), clock.wall()
        await recorder.start(
            InterceptionStart(
                id=id,
                initiator_id="somebody",
                provider="anthropic",
                provider_name="anthropic",
                model="claude",
                started_at=at,
            )
        )
        os.write(1, f"{id}\n".encode())
        recorder.record(
            UserPromptRecord(id=uuid7(at), interception_id=id, created_at=at, prompt="x" * 500),
            TokenUsageRecord(id=uuid7(at), interception_id=id, created_at=at),
            InterceptionEnd(interception_id=id, ended_at=at, outcome=Outcome.COMPLETED),
        )


async def main(state_dir: Path, postgres_url: str | None = None) -> None:
    """Record until killed."""
    clock = SystemClock()
    engine = make_engine(database_url(state_dir, postgres_url))
    recorder = Recorder(
        Store(engine),
        Spool(state_dir / "spool.jsonl"),
        Journal(state_dir / "journal.jsonl"),
        clock,
        linger=0.005,
    )
    await recorder.open()
    async with asyncio.TaskGroup() as agents:
        for _ in range(20):
            agents.create_task(agent(recorder, clock))


asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
