"""Admission control by file descriptors: how many client connections the process can serve.

A place is a client connection and the descriptor that its upstream connection will need. When all
places are taken, an idle connection is evicted for a new one. When none is idle, new connections
are accepted as surplus, only to be refused with an error response; and when the surplus is used up
too, nothing is accepted until a connection ends.
"""

from collections.abc import Callable
from typing import Protocol

from aibridged.clock import Clock
from aibridged.core.client_ip import Network, is_trusted, rate_limit_key
from aibridged.core.idle import IdleConnections

UNLIMITED = 1 << 62

_DESCRIPTORS = 2  # per place: the client's connection and the provider's
_LEAST_SPARE = 16
_SPARE = 8  # one in so many descriptors is for other purposes than places
_MOST_SURPLUS = 64
_SURPLUS = 16  # one in so many descriptors is for clients that are refused


def requests_that_fit(limit: int, in_use: int) -> tuple[int, int]:
    """Places and surplus for a process with a limit of `limit` descriptors, `in_use` of them open.

    The rest is spare: for databases, name resolution, MCP servers, log files.
    """
    surplus = max(1, min(_MOST_SURPLUS, limit // _SURPLUS))
    spare = max(_LEAST_SPARE, limit // _SPARE)
    return max(1, (limit - in_use - spare - surplus) // _DESCRIPTORS), surplus


class IdleConnection(Protocol):
    """A connection that can be closed while it is idle."""

    def leave(self) -> None:
        """Close once the client is unlikely to be in the middle of a request."""

    def abort(self) -> None:
        """Close at once."""


class ConnectionLimiter:
    """Limits the client connections of one process, over all its listeners.

    `places` and `surplus` say how many there may be, `taken` and `taken_surplus` how many there
    are. `on_full` is called for each connection that finds no place.
    """

    def __init__(self, clock: Clock, places: int = UNLIMITED, surplus: int = 0) -> None:
        self.places = places
        self.surplus = surplus
        self.taken = 0
        self.taken_surplus = 0
        self.idle: IdleConnections[IdleConnection] = IdleConnections(clock, UNLIMITED, UNLIMITED)
        self.on_full: Callable[[], None] = _nothing
        self._exempt: tuple[Network, ...] = ()
        self._waiting: set[Callable[[], None]] = set()

    def limit_idle(self, most: int, most_each: int, exempt: tuple[Network, ...] = ()) -> None:
        """Bound the idle connections, in all and per address but for those of `exempt` networks."""
        self._exempt = exempt
        self.idle.most = most
        # Where there are few descriptors, one address may not have them all.
        self.idle.most_each = min(most_each, max(1, self.places // 2))
        for connection in self.idle.excess():
            connection.leave()

    def address(self, peer: str | None) -> bytes | None:
        """The key that a peer's idle connections are counted under; None if it is exempt."""
        if not peer or is_trusted(peer, self._exempt):
            return None
        return rate_limit_key(peer)

    def opened(self, connection: IdleConnection, address: bytes | None) -> None:
        """Count a new connection as idle; where too many are idle, close one of them."""
        leaving = self.idle.opened(connection, address)
        if leaving is not None:
            leaving.leave()

    def became_idle(self, connection: IdleConnection, address: bytes | None) -> None:
        """Count a kept-alive connection as idle; where too many are idle, close one of them."""
        leaving = self.idle.became_idle(connection, address)
        if leaving is not None:
            leaving.leave()
        if self._waiting:
            self._wake()

    @property
    def is_saturated(self) -> bool:
        """Whether nothing more can be accepted, not even to be refused."""
        if self.taken < self.places:
            return False
        if self.taken > self.places + self.surplus:
            return True  # evicted connections aren't closed yet
        return self.taken_surplus >= self.surplus and not self.idle.has_evictable

    def enter(self) -> bool:
        """Count an accepted connection; returns whether it has a place. Each needs one `leave`."""
        if self.taken < self.places or self.evict_idle():
            self.taken += 1
            return True
        self.taken_surplus += 1
        self.on_full()
        return False

    def leave(self, *, had_place: bool) -> None:
        """Give back what `enter` took, once the descriptor of the connection is closed."""
        if had_place:
            self.taken -= 1
        else:
            self.taken_surplus -= 1
        if self._waiting:
            self._wake()

    def evict_idle(self) -> bool:
        """Close an idle connection at once; returns whether there was one."""
        if not self.idle.has_evictable:
            return False
        self.idle.evict().abort()
        return True

    def wait(self, resume: Callable[[], None]) -> None:
        """Call `resume` once when a place may be free, however often this is called before."""
        self._waiting.add(resume)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for resume in waiting:
            resume()


def _nothing() -> None:
    pass
