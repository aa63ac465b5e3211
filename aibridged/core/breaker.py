"""Circuit breakers: one circuit for each key, by the rules of `core.circuit`.

A request that is admitted reports its outcome; no call is made around it, because it awaits.
Everything here belongs to one event loop and takes no locks of its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

import msgspec

from aibridged.clock import Clock
from aibridged.core.circuit import BreakerSettings, Circuit, Outcome, Rejection, State


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


class Trouble(msgspec.Struct, frozen=True):
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

    __slots__ = ("_breakers", "_circuit", "_generation")

    def __init__(self, breakers: "Breakers", circuit: Any, generation: int) -> None:
        self._breakers: Breakers | None = breakers
        self._circuit = circuit
        self._generation = generation

    def success(self) -> None:
        """The provider responded, if only with a client error."""
        if (breakers := self._breakers) is not None:
            self._breakers = None
            breakers.settle(self._circuit, self._generation, Outcome.SUCCESS)

    def failure(self) -> None:
        """The provider was overloaded, limited the rate, or couldn't be reached."""
        if (breakers := self._breakers) is not None:
            self._breakers = None
            breakers.settle(self._circuit, self._generation, Outcome.FAILURE)

    def cancelled(self) -> None:
        """The client disconnected before a response came: it says nothing about the provider."""
        if (breakers := self._breakers) is not None:
            self._breakers = None
            breakers.settle(self._circuit, self._generation, Outcome.CANCELLED)


_CIRCUITS_A_STEP = 20

MAX_CIRCUITS = 10_000
MAX_MODEL_NAME = 200
"""Bound on a model's name in a key; callers choose these names."""


def bounded(key: BreakerKey) -> BreakerKey:
    """The key with a model's name that isn't too long."""
    return key._replace(model=key.model[:MAX_MODEL_NAME])


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
        max_items: int = MAX_CIRCUITS,
    ) -> None:
        self.settings = settings
        self._now = clock.monotonic
        self._on_change = on_change
        self._most = max_items
        self._circuits: OrderedDict[BreakerKey, Circuit] = OrderedDict()  # the last used one last

    def admit(self, key: BreakerKey) -> Admission | Rejection:
        """Whether a request for `key` may go upstream now."""
        if len(key.model) > MAX_MODEL_NAME:
            key = bounded(key)
        now, circuits = self._now(), self._circuits
        circuit = circuits.get(key)
        if circuit is None:
            circuit = self._make(key, now)
        else:
            circuits.move_to_end(key)
        if (rejection := circuit.admit(now)) is not None:
            return rejection
        return Admission(self, circuit, circuit.generation)

    def settle(self, circuit: Circuit, generation: int, outcome: Outcome) -> None:
        """Count the outcome of an admission to a circuit, in this generation of it."""
        circuit.settle(generation, outcome, self._now())

    def impose(self, key: BreakerKey, state: State, seconds: float = 0.0) -> None:
        """Bring a circuit into a state that another process has found; see `Circuit.impose`."""
        key, now = bounded(key), self._now()
        circuit = self._circuits.get(key) or self._make(key, now)
        self._circuits.move_to_end(key)
        circuit.impose(state, now, seconds)

    def _make(self, key: BreakerKey, now: float) -> Circuit:
        circuit = self._circuits[key] = Circuit(self.settings, now, partial(self._on_change, key))
        if len(self._circuits) > self._most:
            self._circuits.popitem(last=False)
        return circuit

    def states(self) -> dict[BreakerKey, State]:
        """The state of every remembered circuit; one whose timeout has passed half-opens now.

        Without a request none leaves that state. One that has had none for another timeout is left
        out: the condition of its provider is unknown.
        """
        now, seen = self._now(), {}
        for key, circuit in list(self._circuits.items()):  # which is no use of them
            circuit.refresh(now)
            if not circuit.is_idle(now):
                seen[key] = circuit.state
        return seen

    def troubles(self) -> Generator[None, None, list[Trouble]]:
        """The circuits of `states` that are open or half-open, or have failures, in steps."""
        found = []
        for number, key in enumerate(list(self._circuits)):
            circuit = self._circuits.get(key)
            if circuit is None:
                continue  # evicted since
            if (trouble := trouble_of(key, circuit, self._now())) is not None:
                found.append(trouble)
            if number % _CIRCUITS_A_STEP == 0:
                yield
        return found


def trouble_of(key: BreakerKey, circuit: Circuit, now: float) -> Trouble | None:
    """What is wrong with a circuit; None if it is closed and has no failures, or is idle."""
    circuit.refresh(now)
    if circuit.is_idle(now) or (circuit.state is State.CLOSED and not circuit.failures):
        return None
    return Trouble(key, circuit.state, circuit.failures, circuit.retry_in(now))
