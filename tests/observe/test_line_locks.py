"""Lines that several processes write to one pipe stay whole."""

import os
import subprocess
import sys

import pytest

from aibridged.observe import line_locks
from aibridged.observe.line_locks import LineLock, line_lock, make_locks, share_lines
from aibridged.observe.log_outputs import LogStream

# Writes lines of its own letter, short ones and long ones.
_WRITER = """
import sys
from aibridged.observe.line_locks import share_lines
from aibridged.observe.log_outputs import LogStream, finish
share_lines({1: int(sys.argv[2])})
output = LogStream(sys.stdout, "standard output")
for number in range(150):
    output.write(sys.argv[1] * (20_000 if number % 3 == 0 else 50) + "\\n")
finish(20)
"""


@pytest.fixture
def shared():
    descriptor = os.memfd_create("log lines")
    yield descriptor
    os.close(descriptor)


def test_lines_of_several_processes_are_whole(shared):
    reading, writing = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, letter, str(shared)],
            stdout=writing,
            pass_fds=[shared],
        )
        for letter in "abc"
    ]
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    assert [each.wait() for each in writers] == [0, 0, 0]
    assert {len(line) for line in lines} == {50, 20_000}
    assert all(len(set(line)) == 1 for line in lines)
    assert len(lines) == 450


def test_short_lines_share_the_lock_and_a_long_one_has_it_alone(shared):
    one, other = LineLock(shared), LineLock(shared)
    assert one.take(alone=False, wait=False)
    assert other.take(alone=False, wait=False)
    assert not other.take(alone=True, wait=False)
    one.release()
    assert other.take(alone=True, wait=False)
    assert not one.take(alone=False, wait=False)
    other.close()  # as when its process dies
    assert one.take(alone=False, wait=False)
    one.close()


def test_who_waits_has_a_deadline(shared, monkeypatch):
    monkeypatch.setattr(line_locks, "PATIENCE_S", 0.01)
    one, other = LineLock(shared), LineLock(shared)
    assert one.take(alone=True, wait=False)
    assert other.take(alone=False, wait=True)
    assert not other.is_held
    for each in (one, other):
        each.close()


def test_what_waits_for_the_lock_is_written_by_a_thread(shared):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    holder = LineLock(shared)
    assert holder.take(alone=True, wait=False)
    share_lines({writing: shared})
    with os.fdopen(writing, "w") as stream:
        output = LogStream(stream, "a pipe")
        share_lines({})
        output.write("first\n")
        output.write("second\n")
        with pytest.raises(BlockingIOError):
            os.read(reading, 100)
        holder.close()
        output.finish(10)
        assert os.read(reading, 100) == b"first\nsecond\n"
        output.stop()
    os.close(reading)
    assert line_lock(writing) is None


def test_the_streams_have_a_lock_each():
    locks = make_locks()
    assert set(locks) == {1, 2}
    for each in set(locks.values()):
        os.close(each)
