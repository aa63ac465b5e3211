"""A bounded cache with an expiry time per value (TTL).

An expired value stays until its place is needed, or until it is looked up: so no call ever has many
to evict at once. When the cache is full, the least recently used value is evicted.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from aibridged.clock import Clock

V = TypeVar("V")


class Kept(Protocol):
    """What a cache of numbers is asked for, be it that of one process or of several."""

    def __len__(self) -> int: ...

    def put(self, key: bytes, value: float, seconds: float) -> None:
        """Cache a value for so long; 0 caches nothing."""
        ...

    def get(self, key: bytes) -> float | None:
        """The value, or None if it is missing or expired."""
        ...


class Expiring(Generic[V]):
    """A cache of at most `most` values. Times are monotonic seconds.

    `most` may be changed: where there are more, two go for each that is put.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self.most = most
        self._now = clock.monotonic
        self._kept: OrderedDict[bytes, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        """The number of values, expired ones included."""
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[bytes, V]]:
        """The keys and values that haven't expired."""
        now = self._now()
        return ((key, value) for key, (value, until) in self._kept.items() if now < until)

    def put(self, key: bytes, value: V, seconds: float) -> None:
        """Cache a value for so long; 0 caches nothing."""
        if seconds <= 0:
            self._kept.pop(key, None)
            return
        self._kept[key] = value, self._now() + seconds
        self._kept.move_to_end(key)
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)

    def get(self, key: bytes) -> V | None:
        """The value, or None if it is missing or expired."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, until = kept
        if self._now() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def drop(self, key: bytes) -> None:
        """Remove a value, if it is there."""
        self._kept.pop(key, None)

    def drop_oldest(self) -> None:
        """Remove the least recently used value, if there is any."""
        if self._kept:
            self._kept.popitem(last=False)
