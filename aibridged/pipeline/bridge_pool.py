"""Cache of bridges (LRU with TTL): one for each caller and key.

A bridge lives for a fixed time from its creation. It is closed once it is no longer in the pool
*and* its last request has ended: one that is evicted under load finishes its requests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from cachetools import TTLCache

from aibridged.clock import Clock

EXPIRY_S = 30.0

B = TypeVar("B")


class BridgeKey(NamedTuple):
    """Key of a bridge; `api_key_id` names the token, None where there is no token.

    `mcp_servers` are those that are granted, None for all: with another policy it is another
    bridge.
    """

    initiator_id: str
    api_key_id: str | None
    mcp_servers: tuple[str, ...] | None = None


@dataclass(slots=True)
class PoolStats:
    """Counters, for the metrics. `evictions` includes expired bridges."""

    hits: int = 0
    misses: int = 0
    additions: int = 0
    evictions: int = 0


class Lease(Generic[B]):
    """A bridge with its reference count: each request has to call `release` once."""

    __slots__ = ("_close", "_pooled", "_users", "bridge")

    def __init__(self, bridge: B, close: Callable[[B], None]) -> None:
        self.bridge = bridge
        self._close = close
        self._users = 0
        self._pooled = True

    def take(self) -> None:
        """Count one more request."""
        self._users += 1

    def release(self) -> None:
        """Count the end of a request, with all that it records."""
        self._users -= 1
        self._close_if_done()

    def leave_pool(self) -> None:
        """Close the bridge once no request uses it."""
        self._pooled = False
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._pooled and self._users == 0:
            self._close(self.bridge)


class BridgePool(Generic[B]):
    """Creates bridges with `make` and closes them with `close`, each at most once per bridge.

    `ttl` is in seconds. Creating doesn't await, so of many requests that race for a bridge the
    first creates it and the others find it. Everything belongs to one event loop.
    """

    def __init__(
        self,
        make: Callable[[BridgeKey], B],
        close: Callable[[B], None],
        clock: Clock,
        *,
        ttl: float,
        max_items: int,
    ) -> None:
        self.stats = PoolStats()
        self._make = make
        self._close = close
        self._clock = clock
        self._leases: _Leases[B] = _Leases(max_items, ttl, clock, self.stats)

    def __len__(self) -> int:
        return len(self._leases)

    def acquire(self, key: BridgeKey) -> Lease[B]:
        """The caller's bridge, created if there is none."""
        try:  # `get` would look it up twice
            lease = self._leases[key]
            self.stats.hits += 1
        except KeyError:
            self.stats.misses += 1
            lease = Lease(self._make(key), self._close)
            self._leases[key] = lease
            self.stats.additions += 1
        lease.take()
        return lease

    def limit(self, *, ttl: float, max_items: int) -> None:
        """Set the limits; if they are new, drop all bridges, so that they apply to new ones."""
        if (ttl, max_items) == (self._leases.ttl, self._leases.maxsize):
            return
        self.close()
        self._leases = _Leases(max_items, ttl, self._clock, self.stats)

    def expire(self) -> None:
        """Drop the bridges that have expired."""
        self._leases.expire()

    def close(self) -> None:
        """Empty the pool, which stays usable; bridges in use close after their last request."""
        while self._leases:
            self._leases.popitem()


async def keep_expiring(pool: BridgePool[B], *, interval: float = EXPIRY_S) -> None:
    """Drop expired bridges every `interval` seconds, until cancelled.

    Otherwise they would stay, with the connections they hold, until the next new caller.
    """
    while True:
        await asyncio.sleep(interval)
        pool.expire()


class _Leases(TTLCache[BridgeKey, Lease[B]]):
    """A bounded map that drops whatever leaves it, expired or evicted."""

    def __init__(self, max_items: int, ttl: float, clock: Clock, stats: PoolStats) -> None:
        super().__init__(max_items, ttl, timer=clock.monotonic)
        self._stats = stats

    def popitem(self) -> tuple[BridgeKey, Lease[B]]:
        key, lease = super().popitem()
        self._let_go(lease)
        return key, lease

    def expire(self, time: float | None = None) -> list[tuple[BridgeKey, Lease[B]]]:
        expired = list(super().expire(time))
        for _, lease in expired:
            self._let_go(lease)
        return expired

    def _let_go(self, lease: Lease[B]) -> None:
        self._stats.evictions += 1
        lease.leave_pool()
