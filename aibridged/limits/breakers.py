"""Circuit breakers of all workers: one state for each key, by the rules of `core.circuit`.

A closed circuit admits, and an open one rejects, without the lock. Whatever may change a state is
done under the lock of its key: restored, decided, and stored. Where that lock can't be had, a
circuit that is neither closed nor open admits no request, and outcomes are counted later, by the
next request for the key.
"""

from collections import deque
from collections.abc import Generator

from cachetools import LRUCache

from aibridged.clock import Clock
from aibridged.core.breaker import (
    MAX_CIRCUITS,
    MAX_MODEL_NAME,
    Admission,
    BreakerKey,
    Breakers,
    OnChange,
    Trouble,
    bounded,
    trouble_of,
)
from aibridged.core.circuit import (
    BreakerSettings,
    Circuit,
    CircuitState,
    Outcome,
    Rejection,
    State,
    rejection,
)
from aibridged.limits.circuit_records import (
    CLOSED,
    OPEN,
    TOUCHED_EVERY_S,
    CircuitRecords,
    Places,
    fresh_generation,
    key_of,
    mark_of,
    never,
)
from aibridged.limits.keys import lock_of
from aibridged.limits.region import CIRCUIT, Region

_MOST_LATE = 100
_A_STEP = 100


class _Handle:
    """What one worker knows of a circuit."""

    __slots__ = (
        *("at", "cell", "changes", "circuit", "hashed", "key", "late", "lock", "mark", "number"),
        "used_at",
    )

    def __init__(self, key: BreakerKey, rules: BreakerSettings, now: float) -> None:
        self.key = key
        self.hashed = key_of(key)
        self.lock = lock_of(self.hashed)
        self.mark = mark_of(self.hashed)
        self.place(-1, Places(0, 0, 0))
        self.changes: list[tuple[State, State]] = []
        self.circuit = Circuit(rules, now, lambda *change: self.changes.append(change))
        self.late: deque[tuple[int, Outcome]] = deque(maxlen=_MOST_LATE)

    def place(self, number: int, places: Places) -> None:
        """Note where it is."""
        self.number = number
        self.at, self.cell, self.used_at = places


class SharedBreakers(Breakers):
    """The breakers of one worker, which has the place `slot` among the others."""

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        on_change: OnChange,
        region: Region,
        slot: int,
    ) -> None:
        super().__init__(settings, clock, on_change)
        self._records = CircuitRecords(region)
        self._region, self._words, self._doubles = region, region.words, region.doubles
        self._locks = region.locks
        self._slot = slot
        self._handles: LRUCache[BreakerKey, _Handle] = LRUCache(MAX_CIRCUITS)
        self._quiet = Circuit(settings, 0.0, never)

    def admit(self, key: BreakerKey) -> Admission | Rejection:
        if len(key.model) > MAX_MODEL_NAME:
            key = bounded(key)
        now = self._now()
        try:
            handle = self._handles[key]
        except KeyError:
            handle = self._handles[key] = _Handle(key, self.settings, now)
        found = self._peek(handle)
        if found is not None and not handle.late:
            word, ends, _ = found
            if now < ends and word & 3 == CLOSED:
                if now - self._doubles[handle.used_at] > TOUCHED_EVERY_S:
                    self._doubles[handle.used_at] = now
                return Admission(self, handle, word >> 2)
            if now < ends and word & 3 == OPEN:
                return rejection(ends, now)
        return self._admit_by_turns(handle, found, now)

    def settle(  # type: ignore[override]  # its circuits are handles
        self, handle: _Handle, generation: int, outcome: Outcome
    ) -> None:
        found, now = self._peek(handle), self._now()
        if found is not None:
            word, ends, counted = found
            if word >> 2 != generation:
                return  # of an earlier generation
            if word & 3 == CLOSED and now < ends and outcome is not Outcome.FAILURE and not counted:
                return  # as nearly always: there is no count to clear
        handle.late.append((generation, outcome))
        if not self._locks.take(handle.lock):
            return
        try:
            before = self._restore(handle)
            if before is None:
                handle.late.clear()  # it was forgotten
            else:
                self._settle_late(handle, now)
                self._store(handle, before)
        finally:
            self._locks.give(handle.lock)
        self._tell(handle)

    def impose(self, key: BreakerKey, state: State, seconds: float = 0.0) -> None:
        key, now = bounded(key), self._now()
        handle = _Handle(key, self.settings, now)
        if not self._locks.take(handle.lock):
            return
        try:
            before = self._restore(handle) or self._begin(handle, now)
            handle.circuit.impose(state, now, seconds)
            self._store(handle, before)
        finally:
            self._locks.give(handle.lock)
        self._tell(handle)

    def states(self) -> dict[BreakerKey, State]:
        now, seen = self._now(), {}
        for number in self._records.used():
            key, circuit = self._seen(number, now)
            if key is not None and not circuit.is_idle(now):
                seen[key] = circuit.state
        return seen

    def troubles(self) -> Generator[None, None, list[Trouble]]:
        found = []
        for steps, number in enumerate(self._records.used()):
            now = self._now()
            key, circuit = self._seen(number, now)
            if key is not None and (trouble := trouble_of(key, circuit, now)) is not None:
                found.append(trouble)
            if steps % _A_STEP == 0:
                yield
        return found

    def _peek(self, handle: _Handle) -> tuple[int, float, int] | None:
        """Generation with state, end, and counts, without the lock; None: there is nothing."""
        if self._words[handle.at] != handle.mark and not self._find(handle):
            return None
        content = self._region.read(handle.cell, CIRCUIT)
        if content is None:
            return None
        word, ends, _, failures, successes, _, _ = content
        return word, ends, failures or successes

    def _find(self, handle: _Handle) -> bool:
        number = self._records.find(handle.hashed)
        if number >= 0:
            handle.place(number, self._records.where(number))
        return number >= 0

    def _admit_by_turns(
        self, handle: _Handle, found: tuple[int, float, int] | None, now: float
    ) -> Admission | Rejection:
        if not self._locks.take(handle.lock):
            if found is None:
                return Admission(self, handle, 0)  # nothing is known against it
            word, _, _ = found
            return Admission(self, handle, word >> 2) if word & 3 == CLOSED else Rejection(1)
        try:
            before = self._restore(handle)
            if before is None:
                before = self._begin(handle, now)
            self._settle_late(handle, now)
            rejected = handle.circuit.admit(now)
            self._store(handle, before)
        finally:
            self._locks.give(handle.lock)
        self._tell(handle)
        return rejected or Admission(self, handle, handle.circuit.generation)

    def _restore(self, handle: _Handle) -> CircuitState | None:
        """Be as it is in the memory, which is returned; None where it has nothing of it."""
        if not self._find(handle):
            return None
        state = self._records.load(handle.number)
        if state is not None:
            handle.circuit.restore(state)
        return state

    def _begin(self, handle: _Handle, now: float) -> CircuitState:
        """Begin a new circuit."""
        if not self._find(handle):
            number = self._records.claim(handle.key, handle.hashed, now)
            handle.place(number, self._records.where(number))
        circuit = Circuit(self.settings, now, never)
        circuit.generation = fresh_generation(now)
        handle.circuit.restore(state := circuit.snapshot())
        return state

    def _store(self, handle: _Handle, before: CircuitState) -> None:
        self._records.store(handle.number, before, handle.circuit.snapshot(), self._slot)

    def _settle_late(self, handle: _Handle, now: float) -> None:
        while handle.late:
            generation, outcome = handle.late.popleft()
            handle.circuit.settle(generation, outcome, now)

    def _tell(self, handle: _Handle) -> None:
        """Tell what has changed, now that no other process waits for the lock."""
        while handle.changes:
            self._on_change(handle.key, *handle.changes.pop(0))

    def _seen(self, number: int, now: float) -> tuple[BreakerKey | None, Circuit]:
        """A circuit as it is now, to be looked at only; what is due has happened."""
        state = self._records.load(number)
        if state is None or (key := self._records.name(number)) is None:
            return None, self._quiet
        if now >= state.ends:
            self._refresh(key, now)
            state = self._records.load(number) or state
        self._quiet.restore(state)
        self._quiet.refresh(now)  # where that could not be done
        return key, self._quiet

    def _refresh(self, key: BreakerKey, now: float) -> None:
        handle = _Handle(key, self.settings, now)
        if not self._locks.take(handle.lock):
            return
        try:
            if (before := self._restore(handle)) is not None:
                handle.circuit.refresh(now)
                self._store(handle, before)
        finally:
            self._locks.give(handle.lock)
        self._tell(handle)
