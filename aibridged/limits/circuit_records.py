"""Circuits in shared memory: their states in cells, and whose they are.

Beside the state, each worker's probes in flight are counted apart, so that those of a dead one can
be given back.
"""

import struct
import sys
from typing import NamedTuple

from aibridged.core.breaker import BreakerKey
from aibridged.core.circuit import CircuitState, State
from aibridged.limits.keys import Keys, digest, lock_of
from aibridged.limits.region import CIRCUIT, CIRCUIT_NAME, Region

STATES = (State.CLOSED, State.HALF_OPEN, State.OPEN)
CLOSED, HALF_OPEN, OPEN = range(len(STATES))
_NUMBERS = {state: number for number, state in enumerate(STATES)}

TOUCHED_EVERY_S = 1.0
"""How exactly it is known which circuit was used least recently."""

_LENGTH = struct.Struct("H")


def mark_of(hashed: bytes) -> int:
    """The first number of a key in the table."""
    return int.from_bytes(hashed[:8], sys.byteorder)


def key_of(key: BreakerKey) -> bytes:
    """Its key in the table."""
    return digest(_joined(key).encode(errors="surrogatepass"), b"circuit")


class Places(NamedTuple):
    """Of a record: the index of its key, the offset of its cell, the index of when it was used."""

    key: int
    cell: int
    used_at: int


class CircuitRecords(Keys):
    """The records of all circuits; what changes one needs the lock of its key."""

    def __init__(self, region: Region) -> None:
        super().__init__(region, region.layout.circuits.keys)
        self.locks = region.locks
        self._region, self._within = region, region.layout.circuit
        records = region.layout.circuits.records
        self._first, self._size, self.count = records.offset, records.size, records.count
        self._all = struct.Struct(f"{region.layout.workers}H").unpack_from

    def where(self, number: int) -> Places:
        """Where a record is."""
        at = self._first + number * self._size
        return Places(
            self.offset(number) // 8,
            at + self._within.cell,
            (at + self._within.used_at) // 8,
        )

    def load(self, number: int) -> CircuitState | None:
        """The state; None where there is none yet."""
        at = self._first + number * self._size
        content = self._region.read(at + self._within.cell, CIRCUIT)
        if content is None:
            return None
        word, ends, asked_at, failures, successes, admitted, _ = content
        in_flight = sum(self._all(self._region.bytes, at + self._within.in_flight))
        return CircuitState(
            STATES[word & 3], word >> 2, failures, successes, admitted, in_flight, ends, asked_at
        )

    def store(self, number: int, before: CircuitState, now: CircuitState, slot: int) -> None:
        """Store what has become of a state; what is new of the probes are this worker's.

        The probes first: a worker that is killed in between leaves one place too many, not one too
        few for ever.
        """
        region, at = self._region, self._first + number * self._size
        own = (at + self._within.in_flight) // 2
        if now.generation != before.generation:
            for each in range(own, own + region.layout.workers):
                region.shorts[each] = 0
        more = now.in_flight
        if now.generation == before.generation:
            more = region.shorts[own + slot] + now.in_flight - before.in_flight
        if now.state is State.HALF_OPEN:
            region.shorts[own + slot] = max(0, more)
        switch, content = region.next_content(at + self._within.cell, CIRCUIT.size)
        CIRCUIT.pack_into(
            region.bytes,
            content,
            now.generation << 2 | _NUMBERS[now.state],
            now.ends,
            now.asked_at,
            now.failures,
            now.successes,
            max(0, now.admitted) if now.state is State.HALF_OPEN else 0,
            0,
        )
        region.words[(at + self._within.cell) // 8] = switch

    def claim(self, key: BreakerKey, hashed: bytes, now: float) -> int:
        """The number of a record for a circuit, in place of the least recently used one."""
        used = (self._first + self._within.used_at) // 8
        doubles, step = self._region.doubles, self._size // 8
        number = min(self.places(hashed), key=lambda number: doubles[used + number * step])
        at = self._first + number * self._size
        self._region.words[(at + self._within.cell) // 8] = 0
        own = (at + self._within.in_flight) // 2
        for each in range(own, own + self._region.layout.workers):
            self._region.shorts[each] = 0
        name = _packed(key)
        start = at + self._within.name
        self._region.bytes[start : start + len(name)] = name
        self.write(number, hashed)
        doubles[used + number * step] = now
        return number

    def used(self) -> list[int]:
        """The numbers of the records that have a circuit."""
        first, step = (self._first + self._within.used_at) // 8, self._size // 8
        times = self._region.doubles[first : first + self.count * step : step].tolist()
        return [number for number, time in enumerate(times) if time]

    def name(self, number: int) -> BreakerKey | None:
        """Whose it is; None where that is being written. Long names are cut."""
        start = self._first + number * self._size + self._within.name
        packed = self._region.bytes[start : start + CIRCUIT_NAME]
        (length,) = _LENGTH.unpack_from(packed)
        text = packed[_LENGTH.size : _LENGTH.size + length].decode(errors="replace")
        parts = text.split("\0", len(BreakerKey._fields) - 1)
        if len(parts) != len(BreakerKey._fields):
            return None
        provider, endpoint, credential, model = parts
        return BreakerKey(provider, endpoint, model, credential)

    def forget_probes(self, slot: int) -> None:
        """Give back the places of a dead worker's probes."""
        region, own = self._region, (self._first + self._within.in_flight) // 2 + slot
        step = self._size // 2
        counts = region.shorts[own : own + self.count * step : step].tolist()
        for number, count in enumerate(counts):
            if count and self.locks.take(lock := lock_of(self.key(number))):
                try:
                    self._forget(number, own + number * step)
                finally:
                    self.locks.give(lock)

    def _forget(self, number: int, own: int) -> None:
        count, before = self._region.shorts[own], self.load(number)
        self._region.shorts[own] = 0
        if before is not None and before.state is State.HALF_OPEN:
            now = before._replace(admitted=before.admitted - count)
            self.store(number, now, now, 0)


def fresh_generation(now: float) -> int:
    """The first of a new circuit, which no earlier circuit of the key has had."""
    return int(now * 1_000_000)


def never(_before: State, _now: State) -> None:
    """Tells of no change."""


def _joined(key: BreakerKey) -> str:
    """The model last: its name is a caller's choice."""
    return "\0".join((key.provider, key.endpoint, key.credential, key.model))


def _packed(key: BreakerKey) -> bytes:
    room = CIRCUIT_NAME - _LENGTH.size
    name = _joined(key).encode(errors="replace")[:room].decode(errors="ignore").encode()
    return _LENGTH.pack(len(name)) + name
