"""Circuit breaker state machine, by the rules of sony/gobreaker.

- Closed: requests pass. Consecutive failures are counted, the count is cleared every interval
  (0: never), and at the threshold the circuit opens.
- Open: requests are rejected until the timeout has passed; then the circuit is half-open.
- Half-open: at most max-requests probes are admitted. Any failure opens the circuit again, and that
  many successes close it. A cancelled probe is neutral and gives its place back.
- A result that was admitted before the last change of state, or before the last clearing of the
  count, is ignored.

pybreaker counts and changes the states. It knows the wall clock only, has no interval, and limits
no probes; `_Circuit` adds these from outside: it moves the open circuit on by a monotonic clock,
and it calls pybreaker only to report a result, never around the request itself, because
`CircuitBreaker.call` holds a lock and doesn't await.

Everything here belongs to one event loop and takes no locks of its own.
"""

import math
from collections.abc import Callable, Generator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import pybreaker
from cachetools import Cache, LRUCache

from aibridged.clock import Clock


class State(Enum):
    """State of a circuit; the values are pybreaker's names."""

    CLOSED = pybreaker.STATE_CLOSED
    HALF_OPEN = pybreaker.STATE_HALF_OPEN
    OPEN = pybreaker.STATE_OPEN

    @property
    def level(self) -> float:
        """0, 0.5 or 1 for closed, half-open and open, for a gauge."""
        return _LEVELS[self]


_LEVELS = {State.CLOSED: 0.0, State.HALF_OPEN: 0.5, State.OPEN: 1.0}


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Parameters: counts of at least 1; seconds, of which `interval` may be 0 (never)."""

    failure_threshold: int
    interval: float
    timeout: float
    max_requests: int


class BreakerKey(NamedTuple):
    """Key of a circuit.

    `credential` is "centralized", or a hash of the caller's own key: a key that is over its limit
    says nothing about others.
    """

    provider: str
    endpoint: str
    model: str
    credential: str


OnChange = Callable[[BreakerKey, State, State], None]
"""Called with the key, the old and the new state, while the state changes."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The request may not go upstream; `retry_after` is in whole seconds, at least 1."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A circuit with failures: how many in a row, and the seconds until an open one half-opens."""

    key: BreakerKey
    state: State
    failures: int
    retry_in: float | None


class Admission:
    """The request may go upstream, and its holder reports the outcome once.

    The first of `success`, `failure` and `cancelled` counts, later calls do nothing; so `cancelled`
    can be called in a `finally`. A holder that reports nothing keeps a probe's place taken.
    """

    __slots__ = ("_circuit", "_generation")

    def __init__(self, circuit: "_Circuit") -> None:
        self._circuit: _Circuit | None = circuit
        self._generation = circuit.generation

    def success(self) -> None:
        """The provider responded, if only with a client error."""
        if circuit := self._settle():
            circuit.record_success()

    def failure(self) -> None:
        """The provider was overloaded, limited the rate, or couldn't be reached."""
        if circuit := self._settle():
            circuit.record_failure()

    def cancelled(self) -> None:
        """The client disconnected before a response came: it says nothing about the provider."""
        if circuit := self._settle():
            circuit.release()

    def _settle(self) -> "_Circuit | None":
        """Return the circuit, once, and only during the generation of the admission."""
        circuit, self._circuit = self._circuit, None
        if circuit is None:
            return None
        circuit.refresh()
        if circuit.generation != self._generation:
            return None
        circuit.in_flight -= 1
        return circuit


_CIRCUITS_A_STEP = 20

MAX_MODEL_NAME = 200
"""Bound on a model's name in a key; callers choose these names."""


class Breakers:
    """One circuit per key, in a bounded map.

    When the map is full, the least recently used circuit is evicted: the next request for its key
    gets a new, closed one, and requests still in flight report to the old one.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        on_change: OnChange,
        max_items: int = 10_000,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._on_change = on_change
        self._circuits: LRUCache[BreakerKey, _Circuit] = LRUCache(max_items)

    def admit(self, key: BreakerKey) -> Admission | Rejection:
        """Whether a request for `key` may go upstream now."""
        if len(key.model) > MAX_MODEL_NAME:
            key = key._replace(model=key.model[:MAX_MODEL_NAME])
        try:  # `get` would look it up twice
            circuit = self._circuits[key]
        except KeyError:
            circuit = _Circuit(key, self.settings, self._clock, self._on_change)
            self._circuits[key] = circuit
        return circuit.admit()

    def states(self) -> dict[BreakerKey, State]:
        """The state of every remembered circuit; one whose timeout has passed half-opens now.

        Without a request none leaves that state. One that has had none for another timeout is left
        out: the condition of its provider is unknown.
        """
        # Reading marks an entry as used: a copy is read, so that a scrape keeps no idle circuit.
        circuits = dict(copy(self._circuits))
        seen = {}
        for key, circuit in circuits.items():
            if not circuit.is_idle(circuit.refresh()):
                seen[key] = circuit.state
        return seen

    def troubles(self) -> Generator[None, None, list[Trouble]]:
        """The circuits of `states` that are open or half-open, or have failures, in steps."""
        found = []
        for number, key in enumerate(list(self._circuits)):
            if key not in self._circuits:
                continue  # evicted since
            circuit = Cache.__getitem__(self._circuits, key)  # which doesn't count as a use
            now = circuit.refresh()
            if not circuit.is_idle(now) and (trouble := circuit.trouble(now)) is not None:
                found.append(trouble)
            if number % _CIRCUITS_A_STEP == 0:
                yield
        return found


class _Circuit(pybreaker.CircuitBreakerListener):
    """pybreaker's states and counts, with a clock, generations and a number of probes.

    A generation is a period in which results count together: it ends with each change of state and
    each clearing of the count.
    """

    def __init__(
        self, key: BreakerKey, settings: BreakerSettings, clock: Clock, on_change: OnChange
    ) -> None:
        self._key = key
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=settings.failure_threshold,
            success_threshold=settings.max_requests,
            listeners=[self],
            state_storage=self._storage,
            throw_new_error_on_trip=False,
        )
        self.generation = 0
        self.in_flight = 0  # admissions of this generation without an outcome yet
        self._begin(State.CLOSED)

    def admit(self) -> Admission | Rejection:
        """Decide on one request; when half-open, it takes a probe's place."""
        now = self._asked_at = self.refresh()
        if self.state is State.OPEN:
            # Rounded first, so that a float's last digit doesn't cost the caller a whole second.
            return Rejection(max(1, math.ceil(round(self._ends - now, 6))))
        if self.state is State.HALF_OPEN and self._admitted >= self._settings.max_requests:
            # How long the probes will take is unknown, but their results are due any moment.
            return Rejection(1)
        self._admitted += 1
        self.in_flight += 1
        return Admission(self)

    def refresh(self) -> float:
        """Make the transitions that are due; returns the time."""
        now = self._clock.monotonic()
        if now >= self._ends:
            if self.state is State.OPEN:
                self._breaker.half_open()
            else:
                self._storage.reset_counter()
                self._begin(State.CLOSED)
        return now

    def is_idle(self, now: float) -> bool:
        """Whether it is half-open, and no request has come to change that."""
        idle = self.state is State.HALF_OPEN and not self.in_flight
        return idle and now - self._asked_at >= self._settings.timeout

    def trouble(self, now: float) -> Trouble | None:
        """Its failures; None if it is closed and has none to count."""
        failures = self._storage.counter
        if self.state is State.CLOSED and not failures:
            return None
        retry_in = self._ends - now if self.state is State.OPEN else None
        return Trouble(self._key, self.state, failures, retry_in)

    def record_success(self) -> None:
        """Report a success to pybreaker: the failure count is cleared, or a probe has passed."""
        if self.state is State.CLOSED and not self._storage.counter:
            return  # as nearly always: there is no count to clear
        self._breaker.call(_succeed)

    def record_failure(self) -> None:
        """Report a failure to pybreaker, which counts it, or opens the circuit."""
        with suppress(_ProviderError):
            self._breaker.call(_fail)

    def release(self) -> None:
        """Take an admission back, as if there had been no request."""
        self._admitted -= 1

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """pybreaker's callback for a change of state, whatever the reason."""
        old = self.state
        self._begin(State(new_state.name))
        self._on_change(self._key, old, self.state)

    def _begin(self, state: State) -> None:
        """Start a generation: earlier results are void, and its end is scheduled."""
        self.state = state
        self.generation += 1
        self._admitted = self.in_flight = 0
        lasts = {
            State.CLOSED: self._settings.interval or math.inf,
            State.OPEN: self._settings.timeout,
            State.HALF_OPEN: math.inf,
        }
        now = self._asked_at = self._clock.monotonic()
        self._ends = now + lasts[state]


class _ProviderError(Exception):
    """The exception for pybreaker of a failed request."""


def _succeed() -> None:
    pass


def _fail() -> None:
    raise _ProviderError
