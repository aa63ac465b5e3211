"""The states of one circuit, by the rules of sony/gobreaker.

- Closed: requests pass. Consecutive failures are counted, the count is cleared every interval
  (0: never), and at the threshold the circuit opens.
- Open: requests are rejected until the timeout has passed; then the circuit is half-open.
- Half-open: at most max-requests probes are admitted. Any failure opens the circuit again, and that
  many successes close it. A cancelled probe is neutral and gives its place back.
- A result that was admitted before the last change of state, or before the last clearing of the
  count, is ignored.

A circuit is a few numbers, so that those of several processes can be kept in memory that they
share: there each operation restores them, and takes a snapshot of what has become of them.
"""

import math
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import msgspec


class State(Enum):
    """State of a circuit."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"

    @property
    def level(self) -> float:
        """0, 0.5 or 1 for closed, half-open and open, for a gauge."""
        return _LEVELS[self]


_LEVELS = {State.CLOSED: 0.0, State.HALF_OPEN: 0.5, State.OPEN: 1.0}


class Outcome(Enum):
    """What has become of a request that was admitted."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


class BreakerSettings(msgspec.Struct, frozen=True):
    """Parameters: counts of at least 1; seconds, of which `interval` may be 0 (never)."""

    failure_threshold: int
    interval: float
    timeout: float
    max_requests: int


class Rejection(msgspec.Struct, frozen=True):
    """The request may not go upstream; `retry_after` is in whole seconds, at least 1."""

    retry_after: int


class CircuitState(NamedTuple):
    """All that there is to know of a circuit; times are monotonic.

    A generation is a period in which results count together: it ends with each change of state and
    each clearing of the count. `admitted` and `in_flight` are the admissions of this generation,
    and those without an outcome yet. `ends` is when the state, or the count, is over by itself.
    """

    state: State
    generation: int
    failures: int
    successes: int
    admitted: int
    in_flight: int
    ends: float
    asked_at: float


class Circuit:
    """One circuit; `on_change` is called with the old and the new state, while it changes."""

    __slots__ = (
        "_rules",
        "_told",
        "admitted",
        "asked_at",
        "ends",
        "failures",
        "generation",
        "in_flight",
        "state",
        "successes",
    )

    def __init__(
        self, rules: BreakerSettings, now: float, on_change: Callable[[State, State], None]
    ) -> None:
        self._rules = rules
        self._told = on_change
        self.generation = 0
        self._begin(State.CLOSED, now)

    def snapshot(self) -> CircuitState:
        """What `restore` takes."""
        return CircuitState(
            self.state,
            self.generation,
            self.failures,
            self.successes,
            self.admitted,
            self.in_flight,
            self.ends,
            self.asked_at,
        )

    def restore(self, snapshot: CircuitState) -> None:
        """Be as one was when its snapshot was taken; that is no change of state."""
        (
            self.state,
            self.generation,
            self.failures,
            self.successes,
            self.admitted,
            self.in_flight,
            self.ends,
            self.asked_at,
        ) = snapshot

    def admit(self, now: float) -> Rejection | None:
        """Decide on one request; when half-open, it takes a probe's place."""
        self.asked_at = now
        if now >= self.ends:
            self.refresh(now)
        if self.state is not State.CLOSED:
            if self.state is State.OPEN:
                return rejection(self.ends, now)
            if self.admitted >= self._rules.max_requests:
                # How long the probes will take is unknown, but their results are due any moment.
                return Rejection(1)
        self.admitted += 1
        self.in_flight += 1
        return None

    def settle(self, generation: int, outcome: Outcome, now: float) -> None:
        """Count the outcome of a request that was admitted in this generation."""
        if now >= self.ends:
            self.refresh(now)
        if generation != self.generation:
            return
        self.in_flight -= 1
        if outcome is Outcome.SUCCESS:
            self.failures = 0
            if self.state is State.HALF_OPEN:
                self._pass_probe(now)
        elif outcome is Outcome.FAILURE:
            self._fail(now)
        else:
            self.admitted -= 1  # as if there had been no request

    def refresh(self, now: float) -> None:
        """Make the transition that is due, if one is."""
        if now < self.ends:
            return
        if self.state is State.OPEN:
            self._change(State.HALF_OPEN, now)
        else:
            self._begin(State.CLOSED, now)

    def impose(self, state: State, now: float, seconds: float) -> None:
        """Be in a state that others have found; an open one ends in `seconds` at the latest.

        One that is in that state already stays as it is.
        """
        self.refresh(now)
        if state is self.state:
            return
        self._change(state, now)
        if state is State.OPEN:
            self.ends = min(self.ends, now + seconds)

    def is_idle(self, now: float) -> bool:
        """Whether it is half-open, and no request has come to change that."""
        idle = self.state is State.HALF_OPEN and not self.in_flight
        return idle and now - self.asked_at >= self._rules.timeout

    def retry_in(self, now: float) -> float | None:
        """The seconds until an open one half-opens."""
        return self.ends - now if self.state is State.OPEN else None

    def _pass_probe(self, now: float) -> None:
        self.successes += 1
        if self.successes >= self._rules.max_requests:
            self._change(State.CLOSED, now)

    def _fail(self, now: float) -> None:
        failures = self.failures + 1
        if self.state is State.HALF_OPEN or failures >= self._rules.failure_threshold:
            self._change(State.OPEN, now)
        self.failures = failures  # of an open one, those that opened it

    def _change(self, state: State, now: float) -> None:
        before, failures = self.state, self.failures
        self._begin(state, now)
        if state is State.HALF_OPEN:
            self.failures = failures  # they are told until it closes
        self._told(before, state)

    def _begin(self, state: State, now: float) -> None:
        """Start a generation: earlier results are void, and its end is scheduled."""
        self.state = state
        self.generation += 1
        self.failures = self.successes = self.admitted = self.in_flight = 0
        self.asked_at = now
        if state is State.OPEN:
            self.ends = now + self._rules.timeout
        elif state is State.CLOSED and self._rules.interval:
            self.ends = now + self._rules.interval
        else:
            self.ends = math.inf


def rejection(ends: float, now: float) -> Rejection:
    """That of a circuit which is open until `ends`."""
    # Rounded first, so that a float's last digit doesn't cost the caller a whole second.
    return Rejection(max(1, math.ceil(round(ends - now, 6))))
