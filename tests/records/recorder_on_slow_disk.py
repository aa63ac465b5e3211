"""A process that records at a steady pace, and says how long the starts were waited for.

Run by the test that makes its flushes slow: `recorder_on_slow_disk.py STATE_DIR`. It writes how
many flushes there were meanwhile, and the longest wait in seconds, to its standard output.
"""

import asyncio
import os
import sys
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.records import flush_schedule
from aibridged.records.database import database_url, make_engine
from aibridged.records.facts import InterceptionEnd, InterceptionStart, Outcome
from aibridged.records.ids import uuid7
from aibridged.records.journal import Journal
from aibridged.records.recorder import Recorder
from aibridged.records.spool import Spool
from aibridged.records.store import Store

PACE_S = 0.005
FLUSHES = 4


async def main(state_dir: Path) -> None:
    """Record until there were some flushes and checkpoints."""
    flush_schedule.FLUSH_S, flush_schedule.CHECKPOINT_S = 0.1, 0.2
    clock = SystemClock()
    engine = make_engine(database_url(state_dir))
    files = Spool(state_dir / "spool.jsonl"), Journal(state_dir / "journal.jsonl")
    recorder = Recorder(Store(engine), *files, clock)
    await recorder.open()
    flushed, longest = [], 0.0
    fsync = os.fsync
    os.fsync = lambda file: flushed.append(file) or fsync(file)
    await record(recorder, clock)  # the first one begins the write-ahead log
    flushed.clear()
    while len(flushed) < FLUSHES:
        longest = max(longest, await record(recorder, clock))
        await asyncio.sleep(PACE_S)
    print(len(flushed), longest, flush=True)
    os._exit(0)  # closing the database flushes it, too


async def record(recorder: Recorder, clock: SystemClock) -> float:
    """One request; how long its start was waited for."""
    began, at = clock.monotonic(), clock.wall()
    start = InterceptionStart(
        id=uuid7(at), initiator_id="i", provider="p", provider_name="p", model="m", started_at=at
    )
    await recorder.start(start)
    waited = clock.monotonic() - began
    recorder.record(
        InterceptionEnd(interception_id=start.id, ended_at=at, outcome=Outcome.COMPLETED)
    )
    return waited


asyncio.run(main(Path(sys.argv[1])))
