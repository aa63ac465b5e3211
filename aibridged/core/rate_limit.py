"""Rate limiter: requests per second and caller (leaky bucket).

One leaky bucket per caller (aiolimiter): with a limit of R requests a second, a caller who has been
quiet may send R at once, and the bucket drains at R a second. So in any stretch of t seconds a
caller gets at most R * (1 + t) requests through, and a caller who keeps to R a second never waits.

Buckets live in a bounded map. When it overflows, the least recently used bucket is evicted, which
can only be in its caller's favour: the next request starts with an empty one.
"""

from collections import OrderedDict

from aiolimiter import AsyncLimiter
from cachetools import LRUCache

from aibridged.clock import Clock

MAX_CALLERS = 50_000

# A bucket of R that drains at R a second has space again after 1/R s: one whole second at most.
RETRY_AFTER_S = 1

MAX_REFUSED = 1000
"""How many callers are remembered as refused lately."""


class _LoopTime:
    """The part of an event loop that a limiter uses while no request waits: its time."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock.monotonic

    def is_closed(self) -> bool:
        return False


class _CallerLimiter(AsyncLimiter):
    """A limiter that takes the time from a clock, so that tests can move it."""

    __slots__ = ("_time",)

    def __init__(self, max_rate: float, time: _LoopTime) -> None:
        super().__init__(max_rate, time_period=1)
        self._time = time

    def take(self) -> bool:
        """Take a place if there is one; `acquire` would wait for it."""
        if not self.has_capacity():
            return False
        self._level += 1
        return True

    @property
    def _loop(self) -> _LoopTime:  # type: ignore[override]  # only `time` is used
        return self._time


class RateLimiter:
    """Decides per caller; callers never affect each other. `rate` is at least 1."""

    def __init__(self, rate: int, clock: Clock, max_callers: int = MAX_CALLERS) -> None:
        self.rate = rate
        self._time = _LoopTime(clock)
        self._limiters: LRUCache[bytes, _CallerLimiter] = LRUCache(max_callers)
        self._refused: OrderedDict[bytes, float] = OrderedDict()  # when last, in that order

    def __len__(self) -> int:
        return len(self._limiters)

    def admit(self, caller: bytes) -> bool:
        """Count a request of `caller`, a key that doesn't reveal the token."""
        try:  # `get` would look it up twice
            limiter = self._limiters[caller]
        except KeyError:
            limiter = self._limiters[caller] = _CallerLimiter(self.rate, self._time)
        if limiter.take():
            return True
        self._refused[caller] = self._time.time()
        self._refused.move_to_end(caller)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
        return False

    def refused_within(self, seconds: float) -> int:
        """How many callers were refused within the last `seconds`; at most `MAX_REFUSED`."""
        since = self._time.time() - seconds
        return sum(at >= since for at in self._refused.values())
