"""Rate limits that hold for all workers together. See `core.rate_limit` for the rule."""

from aibridged.clock import Clock
from aibridged.core.limiters import share
from aibridged.core.rate_limit import MAX_REFUSED, ROUNDING_S, RateLimiter, filled
from aibridged.limits.keys import digest, lock_of
from aibridged.limits.region import KEY_SIZE, Region
from aibridged.limits.timed_table import TimedTable
from aibridged.limits.uncounted import Entry, Uncounted

_HALF_S = 0.5  # of a full bucket


class SharedRateLimiter(RateLimiter):
    """A rate limiter whose buckets are in shared memory; `purpose` keeps those of several apart.

    Without one, keys of 16 bytes are taken to be digests already. Where the lock of a key can't be
    had, half of a bucket is filled without (`uncounted`); where a stopped worker keeps it, each of
    the others goes by a bucket of its own, of its share of the rate.
    """

    def __init__(
        self,
        rate: int,
        clock: Clock,
        uncounted: Uncounted,
        region: Region,
        buckets: TimedTable,
        *,
        purpose: bytes = b"",
        refused: TimedTable | None = None,
    ) -> None:
        super().__init__(rate, clock)
        self._locks = region.locks
        self._workers = region.layout.workers
        self._uncounted = uncounted
        self._buckets = buckets
        self._purpose = purpose
        self._lately = refused
        self._share = RateLimiter(1, clock)

    def __len__(self) -> int:
        return len(self._buckets)

    def admit(self, caller: bytes) -> bool:
        if self._purpose or len(caller) != KEY_SIZE:
            caller = digest(caller, self._purpose)
        lock = lock_of(caller)
        if not self._locks.take(lock):
            return self._admit_without(lock, caller)
        try:
            buckets, now = self._buckets, self._now()
            index = buckets.index(caller)
            if index < 0:
                index = buckets.claim(caller)
            then = filled(buckets.times[index], now, self.rate)
            if then is not None and (
                then <= now + _HALF_S
                or then + self._uncounted.of_all(caller) / self.rate <= now + 1 + ROUNDING_S
            ):
                buckets.times[index] = then
                return True
            if self._lately is not None:
                _note(self._lately, caller, now)
            return False
        finally:
            self._locks.give(lock)

    def _admit_without(self, lock: int, caller: bytes) -> bool:
        rate = self.rate
        if self._locks.is_stuck(lock):
            self._share.rate = share(rate, self._workers)
            return self._share.admit(caller)

        def room() -> float:
            (empty_at,) = self._buckets.peek(caller)
            return (_HALF_S + ROUNDING_S - max(0.0, empty_at - self._now())) * rate

        return self._uncounted.admit(Entry(self._count, caller, (rate,)), room)

    def _count(self, caller: bytes, number: int, rate: int) -> None:
        index = self._buckets.index(caller)
        if index < 0:
            index = self._buckets.claim(caller)
        times = self._buckets.times
        times[index] = max(times[index], self._now()) + number / rate

    def note_refused(self, caller: bytes) -> None:
        if self._purpose or len(caller) != KEY_SIZE:
            caller = digest(caller, self._purpose)
        if self._lately is not None and self._locks.take(lock := lock_of(caller)):
            try:
                _note(self._lately, caller, self._now())
            finally:
                self._locks.give(lock)

    def refused_within(self, seconds: float) -> int:
        if self._lately is None:
            return 0
        since = self._now() - seconds
        return min(MAX_REFUSED, sum(at >= since for at in self._lately.all_times() if at))


def _note(refused: TimedTable, caller: bytes, now: float) -> None:
    index = refused.index(caller)
    refused.times[refused.claim(caller) if index < 0 else index] = now
