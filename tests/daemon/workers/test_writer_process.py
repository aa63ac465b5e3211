"""The writer process and workers, each killed at any moment: the record is what clients know."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from aibridged.records import schema
from aibridged.records.remote_journal import have_living

FOLDER = Path(__file__).parent
COST = 7
AGENTS = 10  # of each worker
_LOOK_S = 0.01


class Program:
    """A process of the tests', whose lines are read as they come."""

    def __init__(self, name: str, state_dir: Path) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, FOLDER / name, str(state_dir)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(FOLDER.parents[2])},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.process.stdout as output:
            for line in output:
                if line.endswith("\n"):
                    self.lines.append(line.strip())

    def wait_for(self, word: str, count: int = 1, patience: float = 30) -> None:
        """Return once it has said the word so often since now."""
        enough = self.said(word) + count
        for _ in range(round(patience / _LOOK_S)):
            if self.said(word) >= enough:
                return
            assert self.process.poll() is None, "it has ended"
            time.sleep(_LOOK_S)
        raise AssertionError(f"no {word}")

    def said(self, word: str) -> int:
        return Counter(line.split()[0] for line in self.lines.copy())[word]

    def ids(self, word: str) -> set[str]:
        return {line.split()[1] for line in self.lines if line.split()[0] == word}

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it, and wait for its end."""
        self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join(10)


@pytest.fixture
def run(sqlite_database) -> Iterator:
    """Starts programs; the writer is ready when it returns."""
    started = []

    def run(name: str) -> Program:
        started.append(Program(name, sqlite_database.state_dir))
        if name == "writer_of_records.py":
            while "ready" not in started[-1].lines:
                assert started[-1].process.poll() is None
                time.sleep(_LOOK_S)
        return started[-1]

    yield run
    for each in started:
        each.kill()


def check(database, workers: list[Program]) -> None:
    """All that clients were told is on record, once, and the ledger says the same."""
    rows = {row["id"]: row for row in database.rows(schema.interceptions)}
    started = set().union(*(each.ids("started") for each in workers))
    ended = set().union(*(each.ids("ended") for each in workers))
    assert started <= rows.keys()
    completed = {id for id, row in rows.items() if row["outcome"] == "completed"}
    assert ended <= completed
    assert {row["outcome"] for row in rows.values()} <= {"completed", "interrupted", "failed"}
    assert database.open_count() == 0
    for table in (schema.user_prompts, schema.token_usages):
        owners = [row["interception_id"] for row in database.rows(table)]
        assert len(owners) == len(set(owners)), "doubled"
        assert completed <= set(owners)
    spend = database.rows(schema.spend)
    assert sum(row["reserved_nanos"] for row in spend) == 0
    assert sum(row["spent_nanos"] for row in spend) == sum(
        row["cost_nanos"] or 0 for row in rows.values()
    )
    assert sum(row["spent_nanos"] for row in spend) == COST * len(completed)
    with database.engine.connect() as connection:
        for pragma in ("integrity_check", "foreign_key_check"):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() in ("ok", None)
    assert not have_living(database.state_dir)
    assert [each.name for each in database.state_dir.glob("journal*")] == []


def test_what_clients_know_is_on_record_whichever_process_is_killed(run, sqlite_database):
    writer = run("writer_of_records.py")
    workers = [run("worker_under_load.py") for _ in range(2)]
    for each in workers:
        each.wait_for("ended", 100)
    writer.kill()
    for each in workers:
        each.wait_for("refused")
    writer = run("writer_of_records.py")
    for each in workers:
        each.wait_for("ended", random.randint(1, 200))
    workers[0].kill()
    workers.append(run("worker_under_load.py"))
    for each in workers[1:]:
        each.wait_for("ended", random.randint(1, 200))
    # Both at once: what the worker knew is in its journal only.
    writer.process.kill()
    workers[1].kill()
    writer.kill()
    workers[2].wait_for("refused")
    writer = run("writer_of_records.py")
    workers[2].wait_for("ended", 50)
    workers[2].kill(signal.SIGTERM)
    writer.kill(signal.SIGTERM)
    check(sqlite_database, workers)
    assert not any(each.said("lost") or each.said("over") for each in workers)


@pytest.mark.drill
def test_a_writer_that_is_stopped_is_not_waited_for(run, sqlite_database):
    writer = run("writer_of_records.py")
    workers = [run("worker_under_load.py") for _ in range(2)]
    for each in workers:
        each.wait_for("ended", 100)
    writer.process.send_signal(signal.SIGSTOP)
    for each in workers:
        each.wait_for("refused", 2 * AGENTS)  # after the deadline, and then at once
    writer.process.send_signal(signal.SIGCONT)
    for each in workers:
        each.wait_for("ended", 100)
    # A worker that is stopped holds up no other, and what it has open is its own.
    workers[0].process.send_signal(signal.SIGSTOP)
    workers[1].wait_for("ended", 100)
    workers[0].process.send_signal(signal.SIGCONT)
    for each in workers:
        each.wait_for("ended", 100)
        each.kill(signal.SIGTERM)
    writer.kill(signal.SIGTERM)
    check(sqlite_database, workers)


@pytest.mark.drill
def test_kills_in_any_order_lose_nothing(run, sqlite_database):
    writer = run("writer_of_records.py")
    living = [run("worker_under_load.py") for _ in range(2)]
    workers = [*living]
    for _ in range(12):
        time.sleep(random.uniform(0, 0.5))
        victim = random.choice([writer, *living])
        victim.kill()
        if victim is writer:
            writer = run("writer_of_records.py")
        else:
            living.remove(victim)
            living.append(run("worker_under_load.py"))
            workers.append(living[-1])
    for each in living:
        each.wait_for("ended", 50)
        each.kill(signal.SIGTERM)
    writer.kill(signal.SIGTERM)
    check(sqlite_database, workers)


@pytest.mark.drill
def test_a_writer_without_room_on_its_disk_spools_and_recovers(run, sqlite_database):
    writer = run("writer_of_records.py")
    workers = [run("worker_under_load.py") for _ in range(2)]
    for each in workers:
        each.wait_for("ended", 100)
    pid, free = writer.process.pid, resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (64 * 1024, free[1]))
    for each in workers:
        each.wait_for("refused", AGENTS)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    for each in workers:
        each.wait_for("ended", 100)
        each.kill(signal.SIGTERM)
    writer.kill(signal.SIGTERM)
    check(sqlite_database, workers)
