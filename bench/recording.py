"""The cost of a record: the wait for its start row, and the CPU time of its rows.

Requests arrive at random moments (an open loop: a slow commit doesn't slow the arrivals), each of
which is recorded with a start, a prompt, its token usage and an end. The wait is from the call of
`Recorder.start` until its caller runs again. CPU is the process's, user and system, less what the
same arrivals cost without a recorder; the start rows are also measured by themselves, and beside
them what SQLite takes to commit one small row at each of these arrivals. Read that ratio: at a
pace like this the machine wakes up for each request, which makes any work several times dearer.

    python bench/recording.py [--rate 500] [--burst 1] [--busy 0.5] [--postgres-url URL]
"""

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.daemon.runtime import loop_factory, tune_garbage_collector
from aibridged.records.database import database_url, describe_sqlite, make_engine
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
    ended_at,
)
from aibridged.records.ids import uuid7
from aibridged.records.journal import Journal
from aibridged.records.migrations import upgrade
from aibridged.records.recorder import Recorder
from aibridged.records.spool import Spool
from aibridged.records.store import Store

RATE = 500.0
"""Requests per second, by default."""

# About as long as a coding agent's turn takes.
REQUEST_S = 0.2
PROMPT = "Please find out why the test of the retry loop fails on slow machines, and mend it."


@dataclass
class Measured:
    """Waits in seconds, sorted; CPU seconds per request: of start rows, of all rows, of a bare
    commit of SQLite's; rows per commit."""

    waits: list[float]
    cpu_of_starts: float
    cpu: float
    cpu_of_bare: float
    batch: float

    def line(self, rate: float, burst: int = 1, busy: float = 0) -> str:
        """The results in a line."""
        return (
            f"{rate:g}/s by {burst}, event loop {busy:.0%} busy:"
            f" start row waited for median {self.quantile(0.5) * 1e3:.2f} ms,"
            f" p99 {self.quantile(0.99) * 1e3:.2f} ms;"
            f" CPU a request {self.cpu_of_starts * 1e6:.0f} µs for the start row,"
            f" {self.cpu * 1e6:.0f} µs for all, {self.cpu_of_bare * 1e6:.0f} µs for a bare commit;"
            f" {self.batch:.1f} records a commit"
        )

    def quantile(self, share: float) -> float:
        return self.waits[int(len(self.waits) * share)]


class BareCommits:
    """The least that SQLite can do for a request: one row, committed at once."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = NORMAL"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.execute("CREATE TABLE starts (id TEXT)")

    async def start(self, start: InterceptionStart) -> None:
        self._connection.execute("INSERT INTO starts VALUES (?)", (start.id,))

    def close(self) -> None:
        self._connection.close()


async def request(
    recorder: Recorder | BareCommits | None,
    clock: SystemClock,
    waits: list[float],
    only_start: bool,
) -> None:
    """One request's records; without a recorder only what the bench itself costs."""
    if recorder is None:
        await asyncio.sleep(REQUEST_S)
        return
    began = time.perf_counter()
    monotonic, wall = clock.monotonic(), clock.wall()
    id = uuid7(wall)
    await recorder.start(
        InterceptionStart(
            id=id,
            initiator_id=f"00000000-0000-4000-8000-{random.randrange(50):012d}",
            username="somebody",
            api_key_id="abcdefghij",
            provider="anthropic",
            provider_name="anthropic",
            model="claude-opus-4-5",
            client="Claude Code",
            user_agent="claude-cli/2.1.0 (external, cli)",
            client_session_id=f"10000000-0000-4000-8000-{random.randrange(500):012d}",
            credential_hint="sk-a...wxyz",
            started_at=wall,
        )
    )
    waits.append(time.perf_counter() - began)
    if only_start or isinstance(recorder, BareCommits):
        await asyncio.sleep(REQUEST_S)
        return
    recorder.record(
        UserPromptRecord(id=uuid7(wall), interception_id=id, created_at=wall, prompt=PROMPT)
    )
    await asyncio.sleep(REQUEST_S)
    end = ended_at(wall, clock.monotonic() - monotonic)
    recorder.record(
        TokenUsageRecord(
            id=uuid7(end),
            interception_id=id,
            created_at=end,
            provider_response_id="msg_01VJH1rYKspfun8BW29CrYEu",
            input_tokens=120,
            output_tokens=800,
            cache_read_input_tokens=60_000,
        ),
        InterceptionEnd(
            interception_id=id,
            ended_at=end,
            outcome=Outcome.COMPLETED,
            status_code=200,
            time_to_first_byte_ms=400,
        ),
    )


async def drive(
    recorder: Recorder | BareCommits | None,
    rate: float,
    seconds: float,
    burst: int,
    busy: float = 0,
    only_starts: bool = False,
) -> tuple[list[float], float]:
    """Run the arrivals; returns their waits and the CPU seconds that it took."""
    clock, waits = SystemClock(), []
    stopping = False

    async def work() -> None:
        """Other work of the event loop: pieces of 2 ms, `busy` of its time."""
        while not stopping:
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0.002 * (1 - busy) / busy)

    cpu = time.process_time()
    other = asyncio.create_task(work()) if busy else None
    async with asyncio.TaskGroup() as requests:
        due = time.perf_counter()
        for _ in range(int(rate * seconds / burst)):
            due += random.expovariate(rate / burst)
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            for _ in range(burst):
                requests.create_task(request(recorder, clock, waits, only_starts))
    stopping = True
    if other is not None:
        await other
    return waits, time.process_time() - cpu


async def measure(
    rate: float,
    seconds: float,
    *,
    burst: int = 1,
    busy: float = 0.0,
    postgres_url: str | None = None,
) -> Measured:
    """Measure the recorder at `rate` requests a second, the event loop `busy` otherwise.

    Requests come `burst` at a time.
    """
    tune_garbage_collector()  # as the daemon does
    count = int(rate * seconds / burst) * burst
    random.seed(1)
    _, without = await drive(None, rate, seconds, burst)
    with tempfile.TemporaryDirectory() as directory:
        commits = BareCommits(Path(directory, "bare.db"))
        random.seed(1)
        _, bare = await drive(commits, rate, seconds, burst)
        commits.close()

    async def run(
        busy: float = 0, only_starts: bool = False
    ) -> tuple[Recorder, list[float], float]:
        with tempfile.TemporaryDirectory() as directory:
            engine = make_engine(database_url(Path(directory), postgres_url))
            upgrade(engine)
            recorder = Recorder(
                Store(engine),
                Spool(Path(directory, "spool.jsonl")),
                Journal(Path(directory, "journal.jsonl")),
                SystemClock(),
            )
            await recorder.open()
            random.seed(1)
            before = time.process_time()
            waits, _ = await drive(recorder, rate, seconds, burst, busy, only_starts)
            await recorder.close()
            return recorder, waits, (time.process_time() - before - without) / count

    _, _, cpu_of_starts = await run(only_starts=True)
    recorder, waits, cpu = await run()
    if busy:
        recorder, waits, _ = await run(busy)
    # For each bucket the number of commits, and last the sum of their sizes.
    [(*commits, records)] = recorder.stats.batches.read().values.values()
    return Measured(
        sorted(waits),
        cpu_of_starts,
        cpu,
        (bare - without) / count,
        records / sum(commits),
    )


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--busy", type=float, default=0)
    parser.add_argument("--switch-interval", type=float, default=0.005)
    parser.add_argument("--postgres-url")
    arguments = parser.parse_args()
    sys.setswitchinterval(arguments.switch_interval)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        measured = runner.run(
            measure(
                arguments.rate,
                arguments.seconds,
                burst=arguments.burst,
                busy=arguments.busy,
                postgres_url=arguments.postgres_url,
            )
        )
    print("PostgreSQL" if arguments.postgres_url else describe_sqlite())
    print(measured.line(arguments.rate, arguments.burst, arguments.busy))


if __name__ == "__main__":
    main()
