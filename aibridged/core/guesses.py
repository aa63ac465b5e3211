"""Limit on guesses: so many attempts per caller within a period, right ones given back."""

from cachetools import TTLCache

from aibridged.clock import Clock

MAX_CALLERS = 50_000


class Guesses:
    """At most `most` attempts per key within `period_s` seconds after the first of them.

    Keys live in a bounded map. When it overflows, the oldest are forgotten, in their favour.
    """

    def __init__(
        self, most: int, period_s: float, clock: Clock, max_callers: int = MAX_CALLERS
    ) -> None:
        self.period_s = period_s
        self._most = most
        self._counts: TTLCache[bytes, list[int]] = TTLCache(max_callers, period_s, clock.monotonic)

    def __len__(self) -> int:
        return len(self._counts)

    def take(self, key: bytes) -> bool:
        """Count an attempt; False: there have been too many."""
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = [0]
        if count[0] >= self._most:
            return False
        count[0] += 1
        return True

    async def taken(self, key: bytes) -> bool:
        """The same where it may have to be asked for; here it takes no time."""
        return self.take(key)

    def give_back(self, key: bytes) -> None:
        """Forget an attempt that was right."""
        count = self._counts.get(key)
        if count is not None and count[0] > 0:
            count[0] -= 1
