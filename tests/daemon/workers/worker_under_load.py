"""A worker that records as fast as it can: `worker_under_load.py STATE_DIR`, until SIGTERM.

It writes what its clients would know to its standard output: `started ID` when a request could go
upstream, `ended ID` when its response is relayed, `refused` for one that was answered with 503, and
`over` for one that a spend limit has refused.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.daemon.workers.writer_socket import connect
from aibridged.records.facts import (
    Check,
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    Reservation,
    TokenUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.jobs import BudgetExceededError, RecordingFailedError
from aibridged.records.remote_journal import WorkerJournal
from aibridged.records.remote_recorder import RemoteRecorder
from aibridged.records.store import new_recorder_id

AGENTS = 10
RESERVED, COST = 100, 7
CAP = 10**9
_PAUSE_S = 0.01


async def agent(recorder: RemoteRecorder, clock: SystemClock, stopping: asyncio.Event) -> None:
    """One request after the other."""
    while not stopping.is_set():
        id, at = uuid7(clock.wall()), clock.wall()
        check = Check("user:ann", at.date().replace(day=1), CAP)
        start = InterceptionStart(
            id=id,
            initiator_id="ann",
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            started_at=at,
            reservation=Reservation(amount=RESERVED, checks=(check,)),
        )
        try:
            await recorder.start(start)
        except RecordingFailedError:
            os.write(1, b"refused\n")
            await asyncio.sleep(_PAUSE_S)
            continue
        except BudgetExceededError:
            os.write(1, b"over\n")
            continue
        os.write(1, f"started {id}\n".encode())
        recorder.record(
            UserPromptRecord(id=uuid7(at), interception_id=id, created_at=at, prompt="x" * 500)
        )
        await asyncio.sleep(0)
        recorder.record(
            TokenUsageRecord(id=uuid7(at), interception_id=id, created_at=at, cost_nanos=COST),
            InterceptionEnd(
                interception_id=id, ended_at=at, outcome=Outcome.COMPLETED, cost_nanos=COST
            ),
        )
        os.write(1, f"ended {id}\n".encode())


async def main(state_dir: Path) -> None:
    """Record until told to stop."""
    clock, stopping = SystemClock(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    recorder_id = new_recorder_id()
    recorder = RemoteRecorder(
        partial(connect, state_dir), recorder_id, WorkerJournal(state_dir, recorder_id), clock
    )
    await recorder.open()
    with suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as agents:
            for _ in range(AGENTS):
                agents.create_task(agent(recorder, clock, stopping))
    await recorder.close()
    if recorder.stats.records_lost:
        os.write(1, b"lost\n")


asyncio.run(main(Path(sys.argv[1])))
