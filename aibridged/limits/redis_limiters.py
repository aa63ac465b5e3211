"""What makes the limits of a replica that shares them by Redis. See `core.limiters`.

It wraps what makes those of this machine: each has the replica's share, for the time without Redis.
"""

from aibridged.core.breaker import Breakers, OnChange
from aibridged.core.circuit import BreakerSettings
from aibridged.core.concurrency import Slots
from aibridged.core.expiring import Kept
from aibridged.core.guesses import Guesses
from aibridged.core.limiters import Limiters
from aibridged.core.policies import PersonLimits
from aibridged.core.rate_limit import RateLimiter
from aibridged.core.runaway import Sessions
from aibridged.limits.redis_breakers import RedisBreakers
from aibridged.limits.redis_guesses import RedisGuesses
from aibridged.limits.redis_lane import Lane
from aibridged.limits.redis_limits import share_of
from aibridged.limits.redis_news import News
from aibridged.tasks import Tasks


class RedisLimiters:
    """Makes limits that replicas share; slots and persons' limits are asked for by `RedisLimits`.

    Sessions, and what is limited besides, stay this machine's.
    """

    def __init__(self, own: Limiters, lane: Lane, news: News, tasks: Tasks) -> None:
        self.workers = own.workers
        self._own = own
        self._lane = lane
        self._news = news
        self._tasks = tasks

    def slots(self, limit: int) -> Slots:
        return self._own.slots(limit)

    def callers(self, rate: int) -> RateLimiter:
        return self._own.callers(share_of(rate, self._lane.replicas))

    def rate_limiter(self, rate: int, purpose: str) -> RateLimiter:
        return self._own.rate_limiter(rate, purpose)

    def person_limits(self) -> PersonLimits:
        return self._own.person_limits()

    def guesses(self, most: int, period_s: float, purpose: str) -> Guesses:
        share = self._own.guesses(share_of(most, self._lane.replicas), period_s, purpose)
        return RedisGuesses(share, most, purpose, self._lane)

    def kept(self, most: int, purpose: str) -> Kept:
        return self._own.kept(most, purpose)

    def breakers(self, settings: BreakerSettings, on_change: OnChange) -> Breakers:
        breakers = RedisBreakers(settings, on_change, self._own.breakers, self._lane)
        breakers.listen(self._news, self._tasks)
        return breakers

    def sessions(self) -> Sessions:
        return self._own.sessions()
