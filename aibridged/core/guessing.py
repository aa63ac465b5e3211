"""How often one address may be wrong about a token.

Each address has a bucket (kept as GCRA keeps it: the one moment at which it will have drained).
A wrong token adds a drop, and a bucket drains at `rate` drops a second; an address whose bucket
holds `burst` drops or more is blocked. A wrong token is counted after it was looked up, so those
that were let through together may overfill a bucket, and are drained before it opens again. In
any t seconds, then, an address is wrong at most `burst + rate * t + c` times, where c is how many
of its tokens are being looked up at once.

A token has 256 random bits: the limit isn't what makes guessing hopeless. It keeps whoever tries
from costing a database lookup each time.

Buckets live in a bounded map. When it overflows, the one used longest ago goes: that address
starts with an empty one.
"""

import math

from cachetools import LRUCache

from aibridged.clock import Clock

BURST = 60
RATE = 1.0
MAX_ADDRESSES = 50_000


class GuessLimiter:
    """Decides by address; addresses never affect each other. `rate` is per second."""

    def __init__(
        self,
        clock: Clock,
        *,
        burst: int = BURST,
        rate: float = RATE,
        max_addresses: int = MAX_ADDRESSES,
    ) -> None:
        self._now = clock.monotonic
        self._drop = 1 / rate
        self._brim = (burst - 1) / rate
        self._drained_at: LRUCache[bytes, float] = LRUCache(max_addresses)

    def __len__(self) -> int:
        return len(self._drained_at)

    def blocked(self, address: bytes) -> bool:
        """Whether no token of this address may be looked up now."""
        return self._over_the_brim(address) > 0

    def retry_after(self, address: bytes) -> int:
        """In how many whole seconds the address may try again; 0 if it may now."""
        return math.ceil(max(0.0, self._over_the_brim(address)))

    def wrong(self, address: bytes) -> None:
        """Count a token that was looked up and is nobody's."""
        now = self._now()
        self._drained_at[address] = max(self._drained_at.get(address, now), now) + self._drop

    def _over_the_brim(self, address: bytes) -> float:
        """The seconds until there is room for a drop; not positive where there is."""
        drained_at = self._drained_at.get(address)
        return 0.0 if drained_at is None else drained_at - self._now() - self._brim
