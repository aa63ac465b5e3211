"""Flushes and checkpoints are off the way of starts, however long the disk takes for them."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from aibridged.records.disk_keeper import SLOW_S, DiskKeeper
from aibridged.records.flush_schedule import CHECKPOINT_S, FLUSH_S
from aibridged.records.jobs import DiskFailed, TruncateLog
from aibridged.records.scrubbing import LOOK_S
from aibridged.records.store import DatabaseAwayError

PROGRAM = Path(__file__).with_name("recorder_on_slow_disk.py")
FLUSH_TAKES_S = 0.3
SLOW_DISK = f"""
#include <unistd.h>
int fsync(int file) {{ usleep({FLUSH_TAKES_S * 1e6:.0f}); return 0; }}
int fdatasync(int file) {{ return fsync(file); }}
"""


def test_no_start_waits_for_a_flush(program, sqlite_database, tmp_path):
    shim, source = tmp_path / "slow_disk.so", tmp_path / "slow_disk.c"
    source.write_text(SLOW_DISK)
    subprocess.run([program("cc"), "-shared", "-fPIC", "-o", shim, source], check=True)
    said = subprocess.run(
        [sys.executable, PROGRAM, tmp_path],
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[2]), "LD_PRELOAD": str(shim)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    flushes, longest = said.split()
    assert int(flushes) > 1
    assert float(longest) < FLUSH_TAKES_S / 2


class Disk:
    """Stands in for a store; what is asked of it."""

    has_own_disk = True

    def __init__(self, clock):
        self.done = []
        self.too_long = False
        self.scrub_requested = False
        self.error = None
        self.takes = 0.0
        self._clock = clock
        self._asked = threading.Event()

    def flush(self):
        self._clock.advance(self.takes)
        self._note("flush")
        if self.error is not None:
            raise self.error

    def checkpoint_aside(self):
        self._note("checkpoint")
        return self.too_long

    def close_aside(self):
        self._note("close")

    def is_scrub_requested(self):
        self._asked.set()
        return self.scrub_requested

    def _note(self, what):
        self.done.append(what)
        self._asked.set()

    def wait(self, count):
        while len(self.done) < count:
            assert self._asked.wait(10)
            self._asked.clear()


@pytest.fixture
def disk(clock):
    return Disk(clock)


@pytest.fixture
def told():
    return []


@pytest.fixture
def keeper(disk, clock, told):
    made = DiskKeeper(disk, clock, told.append)
    made.start()
    yield made
    made.stop()


def test_what_is_committed_is_flushed_and_brought_into_the_database(keeper, disk, clock, told):
    keeper.committed(clock.monotonic())
    clock.advance(FLUSH_S)
    keeper.wake()
    disk.wait(1)
    clock.advance(CHECKPOINT_S)
    keeper.wake()
    disk.wait(3)
    keeper.stop()
    assert disk.done == ["flush", "flush", "checkpoint", "close"]
    assert told == []


def test_the_writer_is_told_of_a_log_that_is_too_long(keeper, disk, clock, told):
    disk.too_long = True
    keeper.committed(clock.monotonic())
    clock.advance(CHECKPOINT_S)
    keeper.wake()
    disk.wait(2)
    keeper.stop()
    assert told == [TruncateLog()]


def test_the_writer_is_told_of_a_request_to_scrub_though_nothing_is_committed(disk, clock):
    disk.scrub_requested = True
    heard = SimpleQueue()
    keeper = DiskKeeper(disk, clock, heard.put)
    keeper.start()
    clock.advance(LOOK_S)
    keeper.wake()
    assert heard.get(timeout=10) == TruncateLog()
    keeper.stop()
    assert disk.done == ["close"]


def test_the_writer_is_told_of_a_disk_that_fails(keeper, disk, clock, told):
    disk.error = DatabaseAwayError("I/O error")
    keeper.committed(clock.monotonic())
    clock.advance(FLUSH_S)
    keeper.wake()
    disk.wait(1)
    keeper.stop()
    assert told == [DiskFailed(disk.error)]


def test_a_slow_disk_is_logged(keeper, disk, clock, messages):
    disk.takes = SLOW_S + 1
    keeper.committed(clock.monotonic())
    clock.advance(FLUSH_S)
    keeper.wake()
    disk.wait(1)
    keeper.stop()
    assert "The disk took 11 s for a flush" in messages()


def test_a_database_with_a_disk_of_its_own_needs_none(disk, clock, told):
    disk.has_own_disk = False
    keeper = DiskKeeper(disk, clock, told.append)
    keeper.start()
    keeper.committed(clock.monotonic())
    clock.advance(FLUSH_S)
    keeper.wake()
    keeper.stop()
    assert disk.done == []
