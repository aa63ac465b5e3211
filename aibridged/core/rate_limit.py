"""Rate limiter: requests per second and caller (GCRA, a leaky bucket kept as one time).

With a limit of R requests a second, a caller who has been quiet may send R at once, and the bucket
drains at R a second. So in any stretch of t seconds a caller gets at most R * (1 + t) requests
through, and a caller who keeps to R a second never waits.

Buckets live in a bounded map. When it overflows, the least recently used bucket is evicted, which
can only be in its caller's favour: the next request starts with an empty one.
"""

from collections import OrderedDict

from aibridged.clock import Clock

MAX_CALLERS = 50_000

# A bucket of R that drains at R a second has space again after 1/R s: one whole second at most.
RETRY_AFTER_S = 1

MAX_REFUSED = 1000
"""How many callers are remembered as refused lately."""

ROUNDING_S = 1e-9  # what sums of times lose


def filled(empty_at: float, now: float, rate: int) -> float | None:
    """The time at which a bucket will be empty after one more request; None: it has no space.

    `empty_at` is that time so far; one that has passed, such as 0, is that of an empty bucket.
    """
    then = (empty_at if empty_at > now else now) + 1 / rate
    return then if then <= now + 1 + ROUNDING_S else None


class RateLimiter:
    """Decides per caller; callers never affect each other.

    `rate` is at least 1, and may be changed at any time.
    """

    def __init__(self, rate: int, clock: Clock, max_callers: int = MAX_CALLERS) -> None:
        self.rate = rate
        self._now = clock.monotonic
        self._most = max_callers
        self._empty_at: OrderedDict[bytes, float] = OrderedDict()  # the last used one last
        self._refused: OrderedDict[bytes, float] = OrderedDict()  # when last, in that order

    def __len__(self) -> int:
        return len(self._empty_at)

    def admit(self, caller: bytes) -> bool:
        """Count a request of `caller`, a key that doesn't reveal the token."""
        buckets = self._empty_at
        empty_at = buckets.get(caller, 0.0)
        then = filled(empty_at, self._now(), self.rate)
        buckets[caller] = empty_at if then is None else then
        buckets.move_to_end(caller)
        if len(buckets) > self._most:
            buckets.popitem(last=False)
        if then is not None:
            return True
        self.note_refused(caller)
        return False

    def note_refused(self, caller: bytes) -> None:
        """Remember that a caller was refused, be it here or elsewhere."""
        self._refused[caller] = self._now()
        self._refused.move_to_end(caller)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def refused_within(self, seconds: float) -> int:
        """How many callers were refused within the last `seconds`; at most `MAX_REFUSED`."""
        since = self._now() - seconds
        return sum(at >= since for at in self._refused.values())
