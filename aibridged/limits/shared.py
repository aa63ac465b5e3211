"""The limits of all workers: the supervisor makes the memory, and each worker is attached to it."""

import os
from typing import Self

from aibridged.clock import Clock
from aibridged.core.breaker import Breakers, OnChange
from aibridged.core.circuit import BreakerSettings
from aibridged.core.concurrency import Slots
from aibridged.core.expiring import Kept
from aibridged.core.guesses import Guesses
from aibridged.core.policies import PersonLimits
from aibridged.core.rate_limit import RateLimiter
from aibridged.core.runaway import Sessions
from aibridged.limits.breakers import SharedBreakers
from aibridged.limits.circuit_records import CircuitRecords
from aibridged.limits.counts import SharedGuesses, SharedValues
from aibridged.limits.persons import SharedPersonLimits, clear_places
from aibridged.limits.rates import SharedRateLimiter
from aibridged.limits.region import Region, make
from aibridged.limits.sessions import SharedSessions
from aibridged.limits.slots import SharedSlots, clear_slots
from aibridged.limits.timed_table import TimedTable
from aibridged.limits.uncounted import Uncounted, clear_uncounted


class SharedLimits:
    """The supervisor's side: it makes the memory, and clears what a dead worker held."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._region = Region(fd)

    @classmethod
    def create(cls, workers: int) -> Self:
        """Make the memory for so many workers.

        Raises:
            OSError: the system has no memory, or no robust locks.
        """
        return cls(make(workers))

    @staticmethod
    def attach(fd: int, slot: int, clock: Clock) -> "SharedLimiters":
        """The limits of the worker that has this slot, from 0; no other living process has it.

        What a dead predecessor held is given back. The descriptor is no longer needed then.

        Raises:
            OSError, ValueError: the descriptor isn't that of a `SharedLimits`.
        """
        return SharedLimiters(Region(fd), slot, clock)

    def fileno(self) -> int:
        """The descriptor, which workers inherit."""
        return self._fd

    def release_slot(self, slot: int) -> None:
        """Give back what a worker held, once it is dead: slots, persons' places, and probes."""
        _clear(self._region, slot)

    def close(self) -> None:
        """Close the memory here; the workers go on with it."""
        self._region.close()
        os.close(self._fd)


class SharedLimiters:
    """Makes the limits that one worker shares with the others. See `core.limiters`."""

    def __init__(self, region: Region, slot: int, clock: Clock) -> None:
        self.workers = region.layout.workers
        if not 0 <= slot < self.workers:
            raise ValueError(f"There is no slot {slot} of {self.workers} workers.")
        self._region = region
        self._slot = slot
        self._clock = clock
        layout = region.layout
        self._callers = TimedTable(region, layout.callers)
        self._persons = TimedTable(region, layout.persons)
        self._refused = TimedTable(region, layout.refused)
        self._counts = TimedTable(region, layout.counts)
        self._values = TimedTable(region, layout.values)
        self._uncounted = Uncounted(region, slot)
        _clear(region, slot)

    def close(self) -> None:
        """Unmap the memory; nothing made here may be used any more."""
        self._uncounted.close()
        self._region.close()

    def slots(self, limit: int) -> Slots:
        return SharedSlots(limit, self._region, self._slot)

    def callers(self, rate: int) -> RateLimiter:
        return SharedRateLimiter(
            rate, self._clock, self._uncounted, self._region, self._callers, refused=self._refused
        )

    def rate_limiter(self, rate: int, purpose: str) -> RateLimiter:
        return SharedRateLimiter(
            rate,
            self._clock,
            self._uncounted,
            self._region,
            self._persons,
            purpose=purpose.encode(),
        )

    def person_limits(self) -> PersonLimits:
        return SharedPersonLimits(self._clock, self._uncounted, self._region, self._slot)

    def guesses(self, most: int, period_s: float, purpose: str) -> Guesses:
        return SharedGuesses(
            most,
            period_s,
            self._clock,
            self._uncounted,
            self._region,
            self._counts,
            purpose.encode(),
        )

    def kept(self, most: int, purpose: str) -> Kept:
        return SharedValues(self._clock, self._region, self._values, purpose.encode())

    def breakers(self, settings: BreakerSettings, on_change: OnChange) -> Breakers:
        return SharedBreakers(settings, self._clock, on_change, self._region, self._slot)

    def sessions(self) -> Sessions:
        return SharedSessions(self._clock, self._region)


def _clear(region: Region, slot: int) -> None:
    clear_slots(region, slot)
    clear_places(region, slot)
    clear_uncounted(region, slot)
    CircuitRecords(region).forget_probes(slot)
