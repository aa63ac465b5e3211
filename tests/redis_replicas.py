"""Replicas in this process, which share a real Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from aibridged.clock import SystemClock
from aibridged.core.concurrency import Slots
from aibridged.core.policies import PersonLimits
from aibridged.core.rate_limit import RateLimiter
from aibridged.limits import redis_lane
from aibridged.limits.redis_lane import Lane
from aibridged.limits.redis_limits import RedisLimits, share_of
from aibridged.limits.redis_news import News
from aibridged.limits.redis_server import RedisServer
from aibridged.tasks import Tasks
from tests.waiting import until


@dataclass
class Replica:
    """One of them; `rates` is its own rate limiter, for the time without Redis."""

    limits: RedisLimits
    lane: Lane
    news: News
    slots: Slots
    rates: RateLimiter
    tasks: list[asyncio.Task[None]]

    async def die(self) -> None:
        """End without a word, as by kill -9."""
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.tasks.clear()


@pytest.fixture
def patient(monkeypatch) -> None:
    """Redis has all the time that a busy machine needs: nothing is decided without it."""
    monkeypatch.setattr(redis_lane, "DEADLINE_S", 20.0)


@pytest.fixture
async def join(redis_server) -> AsyncIterator[Callable[..., object]]:
    """Starts replicas: of `replicas` in all, with so many slots and so many requests a second."""
    joined: list[Replica] = []
    clock = SystemClock()

    async def start(*, replicas: int = 3, slots: int = 0, rate: int = 0, url: str = "") -> Replica:
        counted, people = Slots(slots), PersonLimits(clock)
        server = RedisServer(url or redis_server.url)
        limits = RedisLimits(replicas, counted, people)
        limits.lane = lane = Lane(server, replicas, limits)
        news = News(server, lane)
        tasks = [Tasks().start(lane.run(), "lane"), Tasks().start(news.run(), "news")]
        rates = RateLimiter(share_of(rate, replicas) or 1, clock)
        replica = Replica(limits, lane, news, counted, rates, tasks)
        joined.append(replica)
        if not url:
            await until(lambda: lane.is_up and news.is_listening)
        return replica

    yield start
    for replica in joined:
        await replica.die()
