"""Idle connections of all connection pools, bounded together by the file descriptors.

aiohttp opens the connections and keeps the idle ones. Here it is told to close idle ones before a
new one would take a descriptor that is reserved for another purpose.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler

from aibridged.clock import SystemClock
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.observe.descriptors import Shortages, at_capacity, is_shortage

T = TypeVar("T")

# As aiohttp, which notes it of idle connections.
_monotonic = SystemClock.monotonic

MakeConnection = Callable[[], asyncio.Protocol]
"""Makes the protocol of a connection."""

Dial = Callable[[str, int, MakeConnection], Awaitable[asyncio.Protocol]]
"""Connects to a host and a port, with TLS where that is due, and makes the connection's protocol.

Raises aiohttp.ClientConnectionError if that fails.
"""


class Pools:
    """All connection pools of a process. A place of `limiter` includes an upstream connection."""

    def __init__(self, limiter: ConnectionLimiter, shortages: Shortages) -> None:
        self._limiter = limiter
        self._shortages = shortages
        self._pools: WeakSet[aiohttp.BaseConnector] = WeakSet()

    def add(self, pool: aiohttp.BaseConnector) -> None:
        """Count the pool's connections, too, as long as it lives."""
        self._pools.add(pool)

    async def connect(self, make: Callable[[], Awaitable[T]]) -> T:
        """Open one more connection, which its pool counts already.

        Raises:
            GatewayError: the system has no descriptor, port or buffer for it.
            whatever else `make` does.
        """
        surplus = sum(map(sum, map(connections, self._pools))) - self._limiter.places
        if surplus > 0:
            self._close_idle(surplus)
        try:
            return await make()
        except OSError as error:
            if not is_shortage(error):
                raise
            reason = error
        if self._close_idle(self._limiter.places):
            await asyncio.sleep(0)  # closes them
            try:
                return await make()
            except OSError as error:
                if not is_shortage(error):
                    raise
                reason = error
        self._shortages.system_refused("providers", reason)
        raise at_capacity()

    def _close_idle(self, count: int) -> int:
        """Close up to so many idle connections; returns how many were closed."""
        closed = 0
        for pool in self._pools:
            # aiohttp has no public API for this.
            for waiting in pool._conns.values():
                while waiting and closed < count:
                    protocol, _ = waiting.popleft()
                    protocol.abort()
                    closed += 1
        return closed


def connections(pool: aiohttp.BaseConnector) -> tuple[int, int]:
    """How many connections are in use, or being opened, and how many are idle."""
    # aiohttp has no public API for this.
    return len(pool._acquired), sum(map(len, pool._conns.values()))


def _kept(keepalive_timeout: float) -> dict[str, Any]:
    """What aiohttp is told: its own 0 keeps connections whose time has come within a tick."""
    if keepalive_timeout:
        return {"keepalive_timeout": keepalive_timeout}
    return {"force_close": True}


class PooledConnector(aiohttp.TCPConnector):
    """A pool of connections to one provider, as many as there are requests.

    aiohttp connects to `destination`, or `dial` if there is one; `make` makes a connection's
    protocol. An idle connection is kept for `keepalive_timeout` seconds.
    """

    def __init__(
        self,
        pools: Pools,
        make: MakeConnection,
        destination: aiohttp.ClientRequest,
        keepalive_timeout: float,
        dial: Dial | None = None,
    ) -> None:
        super().__init__(limit=0, **_kept(keepalive_timeout))
        self._destination = destination
        self._key = destination.connection_key
        self._kept_for = keepalive_timeout
        # aiohttp has no public API for the protocol.
        self._factory = cast("partial[ResponseHandler]", make)
        self._pools = pools
        self._dial = dial
        pools.add(self)

    def idle(self) -> ResponseHandler | None:
        """An idle connection, to be given back with `release`; None: there is none at hand."""
        waiting = self._conns.get(self._key)
        if not waiting:
            return None
        connection, since = waiting[0]
        if _monotonic() - since > self._kept_for or not connection.is_connected():
            return None
        waiting.popleft()
        self._acquired.add(connection)
        return connection

    async def opened(
        self,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
    ) -> ResponseHandler:
        """A connection, a new one as a rule, to be given back with `release`.

        Raises what aiohttp's connecting does, and GatewayError: no descriptor is left.
        """
        lease = await self.connect(self._destination, [], timeout)
        connection, lease._protocol = lease._protocol, None
        assert connection is not None
        return connection

    def release(self, connection: ResponseHandler) -> None:
        """Give back a connection, which is closed where no other request may follow on it."""
        if connection.should_close or self._force_close or not self._cleanup_handle:
            self._release(self._key, connection)
        elif not self._closed:
            self._acquired.discard(connection)
            self._conns[self._key].append((connection, _monotonic()))

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: Any,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> ResponseHandler:
        if self._dial is None:
            make = super()._create_connection
            return await self._pools.connect(lambda: make(req, traces, timeout))
        host, port = req.url.host_subcomponent, req.url.port
        assert host is not None
        assert port is not None
        made = await self._pools.connect(partial(self._dial, host, port, self._factory))
        return cast(ResponseHandler, made)
