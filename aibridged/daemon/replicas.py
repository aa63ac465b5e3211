"""What links this replica with the others by Redis: limits, circuits, guesses, and news of changes.

Without a Redis there is none of it, and each replica goes by itself.
"""

import asyncio
from collections.abc import Callable, Set
from contextlib import AsyncExitStack

import msgspec

from aibridged.api.people import Forgetful
from aibridged.config.options import Settings
from aibridged.core.concurrency import Slots
from aibridged.core.limiters import Limiters
from aibridged.core.policies import PersonLimits
from aibridged.daemon.shared_cache import Forgotten, SharedCache
from aibridged.identity.limits_in_force import LimitsInForce
from aibridged.limits.redis_lane import Lane
from aibridged.limits.redis_limiters import RedisLimiters
from aibridged.limits.redis_limits import RedisLimits, share_of
from aibridged.limits.redis_news import News
from aibridged.limits.redis_script import CHANGED, SPEND_LIMITS
from aibridged.tasks import Tasks

MOST_NAMED = 100
"""Ids in the news of a change; one of more is told as a change of all."""


class Replicas:
    """This replica's link to the others."""

    def __init__(
        self, lane: Lane, limits: RedisLimits, news: News, limiters: Limiters, place: str
    ) -> None:
        self.lane = lane
        self.limits = limits
        self.news = news
        self.place = place
        self._tasks = Tasks()
        self.limiters: Limiters = RedisLimiters(limiters, lane, news, self._tasks)

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        self._tasks.start(self.lane.run(), "limits in Redis")
        self._tasks.start(self.news.run(), "news from Redis")

    async def close(self) -> None:
        """Give back what this replica holds, and disconnect."""
        await self.lane.leave()
        await self._tasks.cancel()

    def follow(self, cache: SharedCache, recheck: Callable[[], None]) -> None:
        """Have what changes elsewhere forgotten here; `recheck` looks for what may be missed."""

        def changed(_left_ms: int, body: str) -> None:
            try:
                what = msgspec.json.decode(body, type=Forgotten)
            except (msgspec.DecodeError, msgspec.ValidationError):
                what = Forgotten(all=True)
            cache.forget_here(what)
            recheck()

        self.news.on(CHANGED, changed)
        self.news.on_listening[CHANGED] = recheck


class TellingCache:
    """Forgets what has changed, here and in the other replicas."""

    def __init__(self, cache: Forgetful, news: News) -> None:
        self._cache = cache
        self._news = news

    def forget(self, api_key_ids: Set[str]) -> None:
        """Forget these tokens."""
        self._cache.forget(api_key_ids)
        self._tell(Forgotten(tokens=sorted(api_key_ids)))

    def forget_users(self, user_ids: Set[str]) -> None:
        """Forget all tokens of these users."""
        self._cache.forget_users(user_ids)
        self._tell(Forgotten(users=sorted(user_ids)))

    def forget_all(self) -> None:
        """Forget all tokens."""
        self._cache.forget_all()
        self._tell(Forgotten(all=True))

    async def settle(self) -> None:
        """Return once all workers of this machine have; other replicas are told in a moment."""
        await self._cache.settle()

    def _tell(self, what: Forgotten) -> None:
        if len(what.tokens) + len(what.users) > MOST_NAMED:
            what = Forgotten(all=True)
        self._news.tell(CHANGED, msgspec.json.encode(what).decode())


def make_replicas(
    settings: Settings,
    slots: Slots,
    people: PersonLimits,
    limiters: Limiters,
    stack: AsyncExitStack,
) -> Replicas | None:
    """The link to the other replicas, None without a Redis; `stack` closes it.

    `slots`, `people` and what `limiters` makes are this machine's own.
    """
    if settings.redis_url is None:
        return None
    # It needs an extra.
    from aibridged.limits.redis_server import RedisServer

    server = RedisServer(settings.redis_url.reveal())
    limits = RedisLimits(settings.replicas, slots, people)
    limits.lane = lane = Lane(server, settings.replicas, limits, limiters.workers)
    replicas = Replicas(lane, limits, News(server, lane), limiters, server.place)
    stack.push_async_callback(replicas.close)
    replicas.start()
    return replicas


def follow_limits(
    replicas: Replicas | None, limits: LimitsInForce, on_changed: Callable[[], None]
) -> Callable[[], None]:
    """What a thread is to call when it has changed spend limits: `on_changed`, and others are told.

    When others have changed some, they are read here.
    """
    if replicas is None:
        return on_changed
    news, loop = replicas.news, asyncio.get_running_loop()
    news.on(SPEND_LIMITS, lambda _left_ms, _body: limits.read_soon())
    news.on_listening[SPEND_LIMITS] = limits.read_soon

    def changed() -> None:
        loop.call_soon_threadsafe(news.tell, SPEND_LIMITS, "")
        on_changed()

    return changed


def telling(replicas: Replicas | None, cache: Forgetful) -> Forgetful:
    """The cache, where what is forgotten is told to the other replicas, if there are any."""
    return cache if replicas is None else TellingCache(cache, replicas.news)


def own_rate(settings: Settings, rate: int) -> int:
    """The rate that a rate limiter of this replica keeps: its share, where Redis has the whole."""
    return rate if settings.redis_url is None else share_of(rate, settings.replicas)
