"""Rate limits that hold for all workers together. See `core.rate_limit` for the rule."""

from aibridged.clock import Clock
from aibridged.core.limiters import share
from aibridged.core.rate_limit import MAX_REFUSED, RateLimiter, filled
from aibridged.limits.keys import digest, lock_of
from aibridged.limits.region import KEY_SIZE, Region
from aibridged.limits.timed_table import TimedTable


class SharedRateLimiter(RateLimiter):
    """A rate limiter whose buckets are in shared memory; `purpose` keeps those of several apart.

    Without one, keys of 16 bytes are taken to be digests already. Where the lock of a key can't be
    had, the request is refused; where a stopped worker keeps it, each of the others goes by a
    bucket of its own, of its share of the rate.
    """

    def __init__(
        self,
        rate: int,
        clock: Clock,
        region: Region,
        buckets: TimedTable,
        *,
        purpose: bytes = b"",
        refused: TimedTable | None = None,
    ) -> None:
        super().__init__(rate, clock)
        self._locks = region.locks
        self._workers = region.layout.workers
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
            if not self._locks.is_stuck(lock):
                return False
            self._share.rate = share(self.rate, self._workers)
            return self._share.admit(caller)
        try:
            buckets, now = self._buckets, self._now()
            index = buckets.index(caller)
            if index < 0:
                index = buckets.claim(caller)
            then = filled(buckets.times[index], now, self.rate)
            if then is not None:
                buckets.times[index] = then
                return True
            if self._lately is not None:
                _note(self._lately, caller, now)
            return False
        finally:
            self._locks.give(lock)

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
