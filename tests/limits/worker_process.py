"""A worker that does nothing but ask for one limit: it is started with the memory's descriptor.

Arguments: the descriptor, the slot, what it does, and numbers for that. It writes what happened to
its standard output, a pipe that all workers write to, in records of one size: each is there whole,
after what came before it.
"""

import os
import struct
import sys
import time

from aibridged.clock import SystemClock
from aibridged.core.breaker import Admission, BreakerKey
from aibridged.core.circuit import BreakerSettings, State
from aibridged.limits.robust_locks import WAIT_S, RobustLocks
from aibridged.limits.shared import SharedLimiters, SharedLimits

RECORD = struct.Struct("ccxxid")
READY = b"r"
TAKEN, GIVEN, REFUSED = b"+", b"-", b"!"
CHANGED = b"c"

TOKEN = bytes(range(16))
KEY = BreakerKey("anthropic", "/v1/messages", "claude-sonnet-5", "centralized")
RULES = BreakerSettings(failure_threshold=40, interval=0, timeout=0.2, max_requests=3)
_STATES = list(State)


class LastReading:
    """The system's clock, with the time that was asked for last."""

    def __init__(self) -> None:
        self.last = 0.0

    def monotonic(self) -> float:
        self.last = SystemClock.monotonic()
        return self.last


def tell(what: bytes, slot: int, at: float = 0.0, more: bytes = b" ") -> None:
    os.write(1, RECORD.pack(what, more, slot, at))


def slots(limiters: SharedLimiters, slot: int, limit: int, rounds: int) -> None:
    made = limiters.slots(limit)
    for number in range(rounds):
        if made.take():
            tell(TAKEN, slot)
            if number % 3 == 0:
                os.sched_yield()
            tell(GIVEN, slot)
            made.release()
        else:
            tell(REFUSED, slot)


def persons(limiters: SharedLimiters, slot: int, limit: int, rounds: int) -> None:
    made = limiters.person_limits()
    for number in range(rounds):
        held = 0
        while held < 2 and made.take("ann", limit):
            tell(TAKEN, slot)
            held += 1
        if number % 3 == 0:
            os.sched_yield()
        for _ in range(held):
            tell(GIVEN, slot)
            made.release("ann")


def rates(limiters: SharedLimiters, slot: int, rate: int, clock: LastReading) -> None:
    made, end = limiters.callers(rate), SystemClock.monotonic() + 0.5
    while SystemClock.monotonic() < end:
        if made.admit(TOKEN):
            tell(TAKEN, slot, clock.last)


def circuit(limiters: SharedLimiters, slot: int) -> None:
    """Fails until the circuit opens, asks until it has half-opened, and keeps its probes."""

    def on_change(_key: BreakerKey, _before: State, now: State) -> None:
        tell(CHANGED, slot, more=b"%d" % _STATES.index(now))

    breakers, is_open, kept = limiters.breakers(RULES, on_change), False, []
    end = SystemClock.monotonic() + 1.0
    while SystemClock.monotonic() < end:
        decision = breakers.admit(KEY)
        if not isinstance(decision, Admission):
            is_open = True
        elif is_open:
            kept.append(decision)
            tell(TAKEN, slot)
        else:
            decision.failure()


def guesses(limiters: SharedLimiters, slot: int, most: int) -> None:
    made = limiters.guesses(most, 60.0, "page")
    for _ in range(most):
        if made.take(b"network"):
            tell(TAKEN, slot)


def sessions(limiters: SharedLimiters, slot: int, most: int) -> None:
    from aibridged.config.options import SessionSettings

    made, limits = limiters.sessions(), SessionSettings(ends=True, max_requests=most)
    for _ in range(most):
        if made.of("ann", "s").admit(limits) is None:
            tell(TAKEN, slot)


def far_below(limiters: SharedLimiters, slot: int, rounds: int) -> None:
    """Asks for little of what it may have."""
    callers, persons = limiters.callers(1_000_000), limiters.person_limits()
    guesses = limiters.guesses(1_000_000, 60.0, "page")
    for _ in range(rounds):
        had = (
            callers.admit(TOKEN),
            persons.admit("ann", 1_000_000),
            persons.take("ann", 1000),
            guesses.take(b"network"),
        )
        tell(TAKEN if all(had) else REFUSED, slot)
        guesses.give_back(b"network")
        persons.release("ann")


def keeps(limiters: SharedLimiters, slot: int, limit: int, most: int) -> None:
    """Takes some of everything, and is killed with it."""
    callers, persons = limiters.callers(limit), limiters.person_limits()
    guesses = limiters.guesses(limit, 60.0, "page")
    for _ in range(most):
        tell(TAKEN if callers.admit(TOKEN) else REFUSED, slot)
        tell(TAKEN if persons.take("ann", limit) else REFUSED, slot)
        tell(TAKEN if guesses.take(b"network") else REFUSED, slot)
    time.sleep(60)


def preempted(locks: RobustLocks, rounds: int) -> None:
    """Has no processor for longer than the others wait, whenever it has all locks."""
    for _ in range(rounds):
        taken = [number for number in range(len(locks._locks)) if locks.take(number)]
        time.sleep(2 * WAIT_S)
        for number in taken:
            locks.give(number)
        time.sleep(WAIT_S)


def hold(locks: RobustLocks, slot: int) -> None:
    """Take all locks, and be killed or stopped with them."""
    for number in range(len(locks._locks)):
        locks.take(number)
    tell(TAKEN, slot)
    time.sleep(60)


def main() -> None:
    fd, slot, what, *numbers = sys.argv[1:]
    clock = LastReading()
    limiters = SharedLimits.attach(int(fd), int(slot), clock)  # type: ignore[arg-type]
    tell(READY, int(slot))
    os.read(0, 1)  # until all are ready
    if what == "hold":
        hold(limiters._region.locks, int(slot))
    elif what == "preempted":
        preempted(limiters._region.locks, int(numbers[0]))
    elif what == "rates":
        rates(limiters, int(slot), int(numbers[0]), clock)
    else:
        globals()[what](limiters, int(slot), *map(int, numbers))


if __name__ == "__main__":
    main()
