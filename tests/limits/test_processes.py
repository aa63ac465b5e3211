"""The limits of real processes at the same time, of which some are killed or stopped."""

import os
import signal
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from fcntl import ioctl
from termios import FIONREAD
from typing import NamedTuple

import pytest

from aibridged.limits import robust_locks
from aibridged.limits.shared import SharedLimits
from tests.limits import worker_process
from tests.limits.worker_process import (
    CHANGED,
    GIVEN,
    READY,
    RECORD,
    REFUSED,
    RULES,
    TAKEN,
    TOKEN,
)
from tests.own_time import OwnTime

WORKERS = 3
_PROGRAM = worker_process.__name__


class Told(NamedTuple):
    what: bytes
    more: bytes
    slot: int
    at: float


class Group:
    """Workers that share a memory, and the pipe that they tell of all by."""

    def __init__(self, memory: SharedLimits) -> None:
        self.memory = memory
        self._read, self._write = os.pipe()
        self._go_read, self._go = os.pipe()
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, slot: int, *arguments: object) -> None:
        """Start a worker, which waits for `go`."""
        fd = self.memory.fileno()
        self.processes[slot] = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM, str(fd), str(slot), *map(str, arguments)],
            stdin=self._go_read,
            stdout=self._write,
            pass_fds=(fd,),
        )

    def go(self) -> None:
        """Let the workers begin once all of them are ready."""
        for _ in self.processes:
            assert self.next().what == READY
        os.write(self._go, b"x" * len(self.processes))

    def next(self) -> Told:
        """What was told next."""
        return Told(*RECORD.unpack(os.read(self._read, RECORD.size)))

    def kill(self, slot: int) -> list[Told]:
        """Kill a worker; returns what was told until it was dead. Then what it held is given
        back."""
        process = self.processes.pop(slot)
        process.kill()
        process.wait()
        left = array("i", [0])
        ioctl(self._read, FIONREAD, left)
        told = [self.next() for _ in range(left[0] // RECORD.size)]
        self.memory.release_slot(slot)
        return told

    def told(self) -> Iterator[Told]:
        """All that is told until the last worker has ended."""
        os.close(self._write)
        self._write = -1
        while packed := os.read(self._read, RECORD.size):
            yield Told(*RECORD.unpack(packed))

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for fd in (self._read, self._write, self._go_read, self._go):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def group() -> Iterator[Group]:
    memory = SharedLimits.create(WORKERS)
    made = Group(memory)
    yield made
    made.close()
    memory.close()


class Seen:
    """What workers told of so far; by it, what each has taken."""

    def __init__(self) -> None:
        self.most = 0
        self.held: Counter[int] = Counter()
        self.counts: Counter[bytes] = Counter()

    def add(self, told: Told) -> None:
        self.counts[told.what] += 1
        self.held[told.slot] += {TAKEN: 1, GIVEN: -1}.get(told.what, 0)
        self.most = max(self.most, self.held.total())


def most_at_once(told: Iterator[Told]) -> tuple[int, Counter[bytes]]:
    """The most that was taken at any time, and how often each thing happened.

    Taking is told after it was done, and giving back before: so what is told is never more than
    what was held.
    """
    seen = Seen()
    for each in told:
        seen.add(each)
    return seen.most, seen.counts


@pytest.mark.parametrize("what", ["slots", "persons"])
@pytest.mark.parametrize("limit", [1, 2])
def test_slots_are_never_more_than_the_limit_and_none_is_lost(group, what, limit):
    for slot in range(WORKERS):
        group.start(slot, what, limit, 2000)
    group.go()
    most, seen = most_at_once(group.told())
    assert most == limit
    assert seen[TAKEN] == seen[GIVEN] > 0
    left = SharedLimits.attach(group.memory.fileno(), 0, worker_process.LastReading())
    assert left.slots(limit).in_use == 0
    assert all(left.person_limits().take("ann", limit) for _ in range(limit))
    left.close()


def test_kills_in_the_middle_lose_no_slot_and_make_none(group):
    """Workers are killed wherever they are, and their successors go on."""
    seen = Seen()
    for slot in range(WORKERS):
        group.start(slot, "slots", 1, 1_000_000)
    group.go()
    for kill in range(6):
        for _ in range(300):
            seen.add(group.next())
        slot = kill % WORKERS
        for told in group.kill(slot):
            seen.add(told)
        seen.held[slot] = 0
        group.start(slot, "slots", 1, 1_000_000)
        os.write(group._go, b"x")
    assert seen.most == 1
    assert seen.counts[REFUSED] > 0


def test_places_of_a_person_are_never_more_while_holders_of_locks_are_preempted(group):
    group.start(0, "preempted", 30)
    for slot in range(1, WORKERS):
        group.start(slot, "persons", 3, 5000)
    group.go()
    most, seen = most_at_once(group.told())
    assert most <= 3
    assert seen[TAKEN] == seen[GIVEN] > 0
    left = SharedLimits.attach(group.memory.fileno(), 0, worker_process.LastReading())
    assert [left.person_limits().take("ann", 3) for _ in range(4)] == [True] * 3 + [False]
    left.close()


def test_callers_far_below_their_limits_are_never_refused(group):
    group.start(0, "preempted", 30)
    for slot in range(1, WORKERS):
        group.start(slot, "far_below", 3000)
    group.go()
    _, seen = most_at_once(group.told())
    assert seen == {TAKEN: 3000 * (WORKERS - 1)}


def test_what_a_killed_worker_had_still_to_count_is_in_the_callers_favour(
    group, clock, monkeypatch
):
    monkeypatch.setattr(robust_locks, "STUCK_S", 3600)
    group.start(0, "hold")
    group.go()
    assert group.next().what == TAKEN
    group.start(1, "keeps", 10, 3)
    assert group.next().what == READY
    os.write(group._go, b"x")
    assert [group.next().what for _ in range(9)] == [TAKEN] * 9
    other = SharedLimits.attach(group.memory.fileno(), 2, clock)
    callers, persons = other.callers(10), other.person_limits()
    guesses = other.guesses(10, 60.0, "page")
    all_of_them = (
        lambda: callers.admit(TOKEN),
        lambda: persons.take("ann", 10),
        lambda: guesses.take(b"network"),
    )
    assert [sum(each() for _ in range(10)) for each in all_of_them] == [2, 2, 2], "of half"
    group.kill(0)
    assert [sum(each() for _ in range(10)) for each in all_of_them] == [5, 5, 5]
    group.kill(1)
    assert [sum(each() for _ in range(10)) for each in all_of_them] == [3, 3, 3]
    other.close()


@pytest.mark.parametrize("others", ["rates", "preempted"])
def test_a_rate_holds_for_all_workers_in_any_stretch_of_time(group, others):
    rate = 200
    group.start(0, others, rate if others == "rates" else 40)
    for slot in range(1, WORKERS):
        group.start(slot, "rates", rate)
    group.go()
    times = sorted(each.at for each in group.told())
    assert len(times) > rate, "it is used up"
    for first in range(len(times)):
        for last in range(first, len(times)):
            stretch = times[last] - times[first]
            assert last - first + 1 <= rate * (1 + stretch) + 1e-3


def test_a_circuit_opens_at_the_threshold_and_has_so_many_probes_over_all(group):
    for slot in range(WORKERS):
        group.start(slot, "circuit")
    group.go()
    told = list(group.told())
    states = [each.more for each in told if each.what == CHANGED]
    _, half_open, opened = (b"%d" % number for number in range(3))
    assert states == [opened, half_open]
    assert sum(each.what == TAKEN for each in told) == RULES.max_requests


@pytest.mark.parametrize("what", ["guesses", "sessions"])
def test_what_is_counted_is_counted_once(group, what):
    for slot in range(WORKERS):
        group.start(slot, what, 50)
    group.go()
    assert sum(each.what == TAKEN for each in group.told()) == 50


def test_the_locks_of_a_killed_worker_are_free(group, clock):
    group.start(0, "hold")
    group.go()
    assert group.next().what == TAKEN
    group.kill(0)
    other = SharedLimits.attach(group.memory.fileno(), 1, clock)
    limiter = other.callers(10)
    assert sum(limiter.admit(TOKEN) for _ in range(20)) == 10, "not its share"
    assert other.slots(1).take()
    other.close()


def test_a_stopped_worker_keeps_the_others_for_milliseconds_and_only_once(
    group, clock, monkeypatch
):
    monkeypatch.setattr(robust_locks, "STUCK_S", 0.0)
    group.start(0, "hold")
    group.go()
    assert group.next().what == TAKEN
    group.processes[0].send_signal(signal.SIGSTOP)
    other = SharedLimits.attach(group.memory.fileno(), 1, clock)
    limiter, slots = other.callers(30), other.slots(1)
    spent = OwnTime()
    assert sum(limiter.admit(TOKEN) for _ in range(100)) == 10, "its share"
    assert [slots.take() for _ in range(100)].count(True) == 1
    assert spent.elapsed() < 0.05
    group.kill(0)
    clock.advance(3600)
    assert sum(limiter.admit(TOKEN) for _ in range(100)) == 30
    other.close()
