"""Cache of bridges (LRU with TTL): one for each caller and key.

A bridge lives for a fixed time from its creation. It is closed once it is no longer in the pool
*and* its last request has ended: one that is evicted under load finishes its requests.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

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


class PoolStats(msgspec.Struct):
    """Counters, for the metrics. `evictions` includes expired bridges."""

    hits: int = 0
    misses: int = 0
    additions: int = 0
    evictions: int = 0


class Lease(Generic[B]):
    """A bridge with its reference count: each request has to call `release` once.

    It is in the pool until a monotonic time.
    """

    __slots__ = ("_close", "_pooled", "_users", "bridge", "until")

    def __init__(self, bridge: B, close: Callable[[B], None], until: float) -> None:
        self.bridge = bridge
        self.until = until
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
        self._now = clock.monotonic
        self._ttl, self._most = ttl, max_items
        self._leases: OrderedDict[BridgeKey, Lease[B]] = OrderedDict()  # the last used one last
        self._by_age: OrderedDict[BridgeKey, Lease[B]] = OrderedDict()  # the oldest one first

    def __len__(self) -> int:
        self.expire()
        return len(self._leases)

    def acquire(self, key: BridgeKey) -> Lease[B]:
        """The caller's bridge, created if there is none."""
        lease, now = self._leases.get(key), self._now()
        if lease is not None and now < lease.until:
            self.stats.hits += 1
            self._leases.move_to_end(key)
        else:
            self.stats.misses += 1
            lease = self._add(key, now)
            self.stats.additions += 1
        lease.take()
        return lease

    def _add(self, key: BridgeKey, now: float) -> Lease[B]:
        made = Lease(self._make(key), self._close, now + self._ttl)
        self.expire()
        while len(self._leases) >= self._most:
            self._drop(next(iter(self._leases)))
        self._leases[key] = self._by_age[key] = made
        return made

    def limit(self, *, ttl: float, max_items: int) -> None:
        """Set the limits; if they are new, drop all bridges, so that they apply to new ones."""
        if (ttl, max_items) == (self._ttl, self._most):
            return
        self.close()
        self._ttl, self._most = ttl, max_items

    def expire(self) -> None:
        """Drop the bridges that have expired."""
        now = self._now()
        while self._by_age and next(iter(self._by_age.values())).until <= now:
            self._drop(next(iter(self._by_age)))

    def close(self) -> None:
        """Empty the pool, which stays usable; bridges in use close after their last request."""
        while self._leases:
            self._drop(next(iter(self._leases)))

    def _drop(self, key: BridgeKey) -> None:
        """Let a bridge go, expired or evicted."""
        del self._by_age[key]
        self.stats.evictions += 1
        self._leases.pop(key).leave_pool()


async def keep_expiring(pool: BridgePool[B], *, interval: float = EXPIRY_S) -> None:
    """Drop expired bridges every `interval` seconds, until cancelled.

    Otherwise they would stay, with the connections they hold, until the next new caller.
    """
    while True:
        await asyncio.sleep(interval)
        pool.expire()
