"""Admission control by file descriptors: how many client connections the process can serve.

Each connection that is let in may want a second descriptor, for its provider, and finds one: that
is a place. When all are taken, an idle connection makes room for a new one. When none is idle, what
still comes is let in as surplus, to be told that there is no room; and once there is too much of
that as well, nothing is accepted until a connection ends.
"""

from collections.abc import Callable
from typing import Protocol

from aibridged.clock import Clock
from aibridged.core.client_ip import Network, is_trusted, rate_limit_key
from aibridged.core.idle import IdleConnections

UNLIMITED = 1 << 62

_DESCRIPTORS = 2  # of a place: the client's connection and the provider's
_LEAST_SPARE = 16
_SPARE = 8  # of all descriptors, one in so many is for what isn't a place
_MOST_SURPLUS = 64
_SURPLUS = 16  # of all descriptors, one in so many is for clients that are refused


def requests_that_fit(limit: int, in_use: int) -> tuple[int, int]:
    """Places and surplus of a process that may have `limit` descriptors, and has `in_use`.

    What is neither is spare: for databases, name resolution, MCP servers, log files.
    """
    surplus = max(1, min(_MOST_SURPLUS, limit // _SURPLUS))
    spare = max(_LEAST_SPARE, limit // _SPARE)
    return max(1, (limit - in_use - spare - surplus) // _DESCRIPTORS), surplus


class IdleConnection(Protocol):
    """A connection that can be told to go while it is idle."""

    def leave(self) -> None:
        """Close once the client is unlikely to be in the middle of a request."""

    def abort(self) -> None:
        """Close at once."""


class Room:
    """The client connections of one process, whichever listener they came by.

    `places` and `surplus` say how many there may be, `taken` and `taken_surplus` how many there
    are. `on_full` is called for each that comes when there is no place.
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
        # Few descriptors are no one address's alone.
        self.idle.most_each = min(most_each, max(1, self.places // 2))
        for connection in self.idle.excess():
            connection.leave()

    def address(self, peer: str | None) -> bytes | None:
        """What a peer's idle connections are counted under; None where they aren't."""
        if not peer or is_trusted(peer, self._exempt):
            return None
        return rate_limit_key(peer)

    def came(self, connection: IdleConnection, address: bytes | None) -> None:
        """It has just been opened; where too many are idle, one has to leave."""
        leaving = self.idle.came(connection, address)
        if leaving is not None:
            leaving.leave()

    def kept(self, connection: IdleConnection, address: bytes | None) -> None:
        """It waits for the next request; where too many are idle, one has to leave."""
        leaving = self.idle.kept(connection, address)
        if leaving is not None:
            leaving.leave()
        if self._waiting:
            self._wake()

    @property
    def is_packed(self) -> bool:
        """Whether nothing more can be accepted, not even to be refused."""
        if self.taken < self.places:
            return False
        if self.taken > self.places + self.surplus:
            return True  # those that have made room aren't closed yet
        return self.taken_surplus >= self.surplus and not self.idle.has_spare

    def enter(self) -> bool:
        """A connection has been accepted: whether it has a place. Each needs one `leave`."""
        if self.taken < self.places or self.make_place():
            self.taken += 1
            return True
        self.taken_surplus += 1
        self.on_full()
        return False

    def leave(self, *, had_place: bool) -> None:
        """The descriptor of a connection is closed."""
        if had_place:
            self.taken -= 1
        else:
            self.taken_surplus -= 1
        if self._waiting:
            self._wake()

    def make_place(self) -> bool:
        """Close an idle connection at once; whether there is one."""
        if not self.idle.has_spare:
            return False
        self.idle.take_spare().abort()
        return True

    def wait(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, as soon as there may be room, however often it is asked for."""
        self._waiting.add(resume)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for resume in waiting:
            resume()


def _nothing() -> None:
    pass
