"""Idle client connections: which one is closed when there are too many (LRU, per address).

A connection is idle while it has no complete request: before its first request, during a TLS
handshake or its first request's head, or when it is kept open for the next request. Connections are
ordered by when they became idle, in total and per address, so that a request costs a few lookups
however many there are.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from aibridged.clock import Clock

T = TypeVar("T")

GRACE_S = 3.0
"""How long a new connection is safe from eviction: its request may be on the way."""


class IdleConnections(Generic[T]):
    """At most `most` idle connections, of which an address may have `most_each`.

    Both may be changed; `excess` names those beyond the new limits. `closed` counts the connections
    that were closed for others. A connection without an address, such as a trusted reverse proxy's,
    counts towards the total only.
    """

    def __init__(self, clock: Clock, most: int, most_each: int) -> None:
        self.most = most
        self.most_each = most_each
        self.closed = 0
        self._monotonic = clock.monotonic
        # Those without a request yet, with their time of arrival; and those that are kept alive.
        self._new: OrderedDict[T, tuple[float, bytes | None]] = OrderedDict()
        self._kept: OrderedDict[T, bytes | None] = OrderedDict()
        # Those that are closing, except for new ones, whose request may be on the way.
        self._leaving: OrderedDict[T, None] = OrderedDict()
        self._by_address: dict[bytes, OrderedDict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._kept)

    def opened(self, connection: T, address: bytes | None) -> T | None:
        """Add a new connection; returns the idle connection to be closed for it, if any."""
        self._new[connection] = self._monotonic(), address
        return self._added(connection, address)

    def became_idle(self, connection: T, address: bytes | None) -> T | None:
        """Add a kept-alive connection; returns the idle connection to be closed for it, if any."""
        self._kept[connection] = address
        return self._added(connection, address)

    def remove(self, connection: T) -> None:
        """Remove a connection that is closed, or has a request now."""
        if connection in self._kept:
            address = self._kept.pop(connection)
        elif connection in self._new:
            _, address = self._new.pop(connection)
        else:
            self._leaving.pop(connection, None)
            return
        if address is not None:
            own = self._by_address[address]
            del own[connection]
            if not own:
                del self._by_address[address]

    @property
    def has_evictable(self) -> bool:
        """Whether there is one that can be evicted for another client."""
        return bool(self._leaving or self._kept) or self._is_any_silent()

    def evict(self) -> T:
        """Remove one, to be closed at once: one that is closing anyway, or else the oldest."""
        if self._leaving:
            connection, _ = self._leaving.popitem(last=False)
            return connection
        connection = self._oldest()
        self.closed += 1
        self.remove(connection)
        return connection

    def excess(self) -> Iterator[T]:
        """The connections to be closed after the limits were lowered."""
        for own in list(self._by_address.values()):
            while len(own) > self.most_each:
                yield self._let_go(next(iter(own)))
        while len(self) > self.most:
            yield self._let_go(self._oldest())

    def _added(self, connection: T, address: bytes | None) -> T | None:
        if address is not None:
            own = self._by_address.get(address)
            if own is None:
                own = self._by_address[address] = OrderedDict()
            own[connection] = None
            if len(own) > self.most_each:
                return self._let_go(next(iter(own)))
        if len(self._new) + len(self._kept) > self.most:
            return self._let_go(self._oldest())
        return None

    def _oldest(self) -> T:
        """The longest silent new connection past its grace, else the longest kept-alive one, else
        the oldest of the new ones."""
        if self._is_any_silent() or not self._kept:
            return next(iter(self._new))
        return next(iter(self._kept))

    def _is_any_silent(self) -> bool:
        return bool(self._new) and self._is_silent(next(iter(self._new)))

    def _is_silent(self, connection: T) -> bool:
        came, _ = self._new[connection]
        return self._monotonic() - came >= GRACE_S

    def _let_go(self, connection: T) -> T:
        is_new = connection in self._new and not self._is_silent(connection)
        self.remove(connection)
        if not is_new:
            self._leaving[connection] = None
        self.closed += 1
        return connection
