"""What makes limits: those of one process, or of several that share them, with one interface.

Limits that several processes share are subclasses of those here, by the same rules.
"""

from typing import Protocol

from aibridged.clock import Clock
from aibridged.core.breaker import Breakers, OnChange
from aibridged.core.circuit import BreakerSettings
from aibridged.core.concurrency import Slots
from aibridged.core.expiring import Expiring, Kept
from aibridged.core.guesses import Guesses
from aibridged.core.policies import PersonLimits
from aibridged.core.rate_limit import RateLimiter
from aibridged.core.runaway import Sessions


def share(most: int, workers: int) -> int:
    """What one of so many workers may have of a limit: at least 1."""
    return max(1, most // workers)


class Limiters(Protocol):
    """Makes limits. What has a `purpose` is counted apart from what has another one.

    `workers` is the number of processes that what can't be shared is divided by.
    """

    workers: int

    def slots(self, limit: int) -> Slots:
        """Those of `--aibridge-max-concurrency`."""
        ...

    def callers(self, rate: int) -> RateLimiter:
        """That of `--aibridge-rate-limit`: its keys of 16 bytes are digests."""
        ...

    def rate_limiter(self, rate: int, purpose: str) -> RateLimiter:
        """Another one."""
        ...

    def person_limits(self) -> PersonLimits:
        """Those of policies."""
        ...

    def guesses(self, most: int, period_s: float, purpose: str) -> Guesses:
        """So many attempts in a period."""
        ...

    def kept(self, most: int, purpose: str) -> Kept:
        """Numbers by key that expire; at most `most` in one process."""
        ...

    def breakers(self, settings: BreakerSettings, on_change: OnChange) -> Breakers:
        """The circuits."""
        ...

    def sessions(self) -> Sessions:
        """Those that may run away."""
        ...


class LocalLimiters:
    """The limits of one process."""

    workers = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def slots(self, limit: int) -> Slots:
        return Slots(limit)

    def callers(self, rate: int) -> RateLimiter:
        return RateLimiter(rate, self._clock)

    def rate_limiter(self, rate: int, purpose: str) -> RateLimiter:
        return RateLimiter(rate, self._clock)

    def person_limits(self) -> PersonLimits:
        return PersonLimits(self._clock)

    def guesses(self, most: int, period_s: float, purpose: str) -> Guesses:
        return Guesses(most, period_s, self._clock)

    def kept(self, most: int, purpose: str) -> Kept:
        return Expiring[float](most, self._clock)

    def breakers(self, settings: BreakerSettings, on_change: OnChange) -> Breakers:
        return Breakers(settings, self._clock, on_change)

    def sessions(self) -> Sessions:
        return Sessions(self._clock)
