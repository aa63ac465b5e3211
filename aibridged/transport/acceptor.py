"""Accepts connections while there are places for them (admission control by file descriptors).

The event loops' own servers accept everything. When descriptors run out, one of them closes its
listener and the other logs thousands of lines; and clients that were accepted find none left for
their upstream connections.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from loguru import logger

from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.idle import GRACE_S
from aibridged.tasks import Tasks

BACKLOG = 4096
"""The system's maximum; a passed socket keeps the backlog that it came with."""

# So that connections that were accepted are served in between.
_BURST = 64
_RETRY_S = 0.1
_SURPLUS_HANDSHAKE_S = 2.0


MakeProtocol = Callable[[bool], asyncio.BaseProtocol]
"""Makes the protocol of a client's connection; the argument says whether it is surplus."""


class SharedSocket(socket.socket):
    """A listening socket that other processes accept from, too."""


class Acceptor:
    """Accepts connections on `listening`, and makes a protocol of each that `limiter` lets in.

    With `tls`, a handshake may take `handshake_timeout` seconds.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: MakeProtocol,
        limiter: ConnectionLimiter,
        shortage: Callable[[str, BaseException], None],
        tls: ssl.SSLContext | None = None,
        handshake_timeout: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make = make
        self._limiter = limiter
        self._shortage = shortage
        self._tls = tls
        self.handshake_timeout = handshake_timeout
        self._openings = Tasks()
        self._is_closed = False
        # One at a time, so that the processes that share it have about as many each.
        self._burst = 1 if isinstance(listening, SharedSocket) else _BURST
        listening.setblocking(False)
        self._resume()

    def close(self, *, is_held: bool = False) -> None:
        """Stop accepting. Accepted connections go on; so do those that are queued, if they fit.

        The system would reset those, although for their clients they are connected; but not where
        the socket `is_held` open, for the next process.
        """
        if self._is_closed:
            return
        self._pause()
        if not (is_held or isinstance(self._listening, SharedSocket)):  # others accept those
            while not self._limiter.is_saturated and self._accept():
                pass
        self._is_closed = True
        self._listening.close()

    async def settled(self) -> None:
        """Return once each accepted connection has its protocol, or has failed."""
        await self._openings.idle()

    def _resume(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listening.fileno(), self._accept_some)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listening.fileno())

    def _accept_some(self) -> None:
        for _ in range(self._burst):
            if self._limiter.is_saturated:
                self._pause()
                self._limiter.wait(self._resume)
                self._loop.call_later(_RETRY_S, self._resume)
                return
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accept one; False: there is none, or the system refuses."""
        try:
            accepted, peer = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            self._refused_by_system(error)
            return False
        self._begin(accepted, peer)
        return True

    def _refused_by_system(self, error: OSError) -> None:
        """Pause: the connection stays in the queue, and the loop would spin on it."""
        self._shortage("clients", error)
        self._limiter.evict_idle()
        self._pause()
        self._loop.call_later(_RETRY_S, self._resume)

    def _begin(self, accepted: socket.socket, peer: object) -> None:
        has_place = self._limiter.enter()
        client = _Accepted(accepted, partial(self._limiter.leave, had_place=has_place))
        protocol = self._make(not has_place)
        if self._tls is None:
            self._openings.start(self._open(client, protocol, None), "opening a connection")
            return
        ip = peer[0] if isinstance(peer, tuple) else None
        handshake = _Handshake(client, protocol, self._limiter)
        within = self.handshake_timeout
        if has_place:
            self._limiter.opened(handshake, self._limiter.address(ip))
        else:
            within = _SURPLUS_HANDSHAKE_S
        opening = self._openings.start(self._open(client, handshake, within), "a TLS handshake")
        opening.add_done_callback(handshake.done)

    async def _open(
        self, client: socket.socket, protocol: asyncio.BaseProtocol, within: float | None
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self._tls, ssl_handshake_timeout=within
            )
        except OSError as error:
            logger.debug("Failed to set up a connection: {}", type(error).__name__)


class _Accepted(socket.socket):
    """Reports that its descriptor is closed, whichever protocol had it last."""

    __slots__ = ("_on_close",)

    def __init__(self, accepted: socket.socket, on_close: Callable[[], None]) -> None:
        self._on_close: Callable[[], None] | None = on_close
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.setblocking(False)

    def close(self) -> None:
        super().close()
        self._closed_now()

    def detach(self) -> int:
        # uvloop's transports close the descriptor by themselves.
        descriptor = super().detach()
        self._closed_now()
        return descriptor

    def _closed_now(self) -> None:
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


class _Handshake(asyncio.Protocol):
    """The protocol of a connection during the TLS handshake; idle until that is done."""

    def __init__(
        self,
        client: socket.socket,
        protocol: asyncio.BaseProtocol,
        limiter: ConnectionLimiter,
    ) -> None:
        self._client = client
        self._protocol = protocol
        self._limiter = limiter
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.done()
        transport.set_protocol(self._protocol)
        self._protocol.connection_made(transport)

    def done(self, _: object = None) -> None:
        self._limiter.idle.remove(self)
        if self._timer is not None:
            self._timer.cancel()

    def leave(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(GRACE_S, self.abort)

    def abort(self) -> None:
        # The transport sees that the client has disconnected.
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


async def bind(host: str | None, port: int) -> list[socket.socket]:
    """Sockets that listen on all addresses of `host`, or of this machine; OSError if one can't."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            made = bound(family, address, kind, protocol)
            sockets.append(made)
            made.listen(BACKLOG)
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def bound(
    family: int,
    address: Any,
    kind: int = socket.SOCK_STREAM,
    protocol: int = 0,
    *,
    is_shared: bool = False,
    is_reserved: bool = False,
) -> socket.socket:
    """A socket that is bound to the address, and doesn't listen yet; OSError if it can't be.

    With `is_shared` other processes of this user may bind theirs to the same address: the system
    spreads the connections over those that listen (SO_REUSEPORT). With `is_reserved` only those
    that say the same may, also while none listens; connections that have just ended are in the way.
    """
    made = socket.socket(family, kind, protocol)
    try:
        if not is_reserved:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
