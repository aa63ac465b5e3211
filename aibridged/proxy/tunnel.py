"""A tunnel: two connections spliced together, byte for byte, with backpressure."""

import asyncio
from collections.abc import Callable
from typing import cast

# How much may wait to be written before reading from the other side pauses.
_BUFFER_BYTES = 256 * 1024
# How long the last bytes may take to be written when everything else is over.
_FLUSH_S = 30.0


class Tunnel:
    """Splices two connections, whose protocols are `client` and `server`.

    A tunnel ends when either connection does, when both sides have sent EOF, when nothing moved for
    `idle` seconds, or for `half_closed` seconds after one side's EOF. `on_end` is called once, when
    both connections are gone.
    """

    def __init__(self, *, idle: float, half_closed: float, on_end: Callable[[], None]) -> None:
        self.client = _End(self)
        self.server = _End(self)
        self.client.other, self.server.other = self.server, self.client
        self.moved = False
        self._loop = asyncio.get_running_loop()
        self._limit = idle
        self._half_closed = half_closed
        self._on_end = on_end
        self._open = 2
        self._timer = self._loop.call_later(idle, self._check_idle)

    def close(self) -> None:
        """Flush the write buffers, and close."""
        self._timer.cancel()
        self._timer = self._loop.call_later(_FLUSH_S, self.abort)
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.close()

    def abort(self) -> None:
        """Abort both connections."""
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.abort()

    def one_side_ended(self) -> None:
        """Note an EOF from one side: the other gets less time from now on."""
        if self.client.ended and self.server.ended:
            self.close()
            return
        self._limit = min(self._limit, self._half_closed)
        self._timer.cancel()
        self.moved = False
        self._timer = self._loop.call_later(self._limit, self._check_idle)

    def one_gone(self) -> None:
        """Close the other connection when one is gone."""
        self._open -= 1
        if self._open:
            self.close()
        else:
            self._timer.cancel()
            self._on_end()

    def _check_idle(self) -> None:
        # Only a flag is set for each chunk: a timeout may take up to twice as long.
        if not self.moved:
            self.close()
            return
        self.moved = False
        self._timer = self._loop.call_later(self._limit, self._check_idle)


class _End(asyncio.Protocol):
    """One end of a tunnel; `ended` says that its peer has sent EOF."""

    other: "_End"

    def __init__(self, tunnel: Tunnel) -> None:
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self._tunnel = tunnel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's aren't subclasses
        self.transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        self._tunnel.moved = True
        out = self.other.transport
        if out is not None:
            out.write(data)

    def pause_writing(self) -> None:
        source = self.other.transport
        if source is not None and not source.is_closing():
            source.pause_reading()

    def resume_writing(self) -> None:
        self._tunnel.moved = True
        source = self.other.transport
        if source is not None and not source.is_closing():
            source.resume_reading()

    def eof_received(self) -> bool:
        """Pass the EOF on, and keep the other direction open; with TLS, which can't, close both."""
        self.ended = True
        out, own = self.other.transport, self.transport
        if out is None or own is None or not (out.can_write_eof() and own.can_write_eof()):
            self._tunnel.close()
            return False
        out.write_eof()
        self._tunnel.one_side_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._tunnel.one_gone()
