"""Handoff of a connection between two protocols: buffers what arrives, and pauses reading.

asyncio delivers data to whichever protocol a transport has at the moment: after a TLS handshake,
and on a new connection, that may be before the final protocol has been made.
"""

import asyncio
from typing import cast


class Parked(asyncio.Protocol):
    """Buffers what arrives until the final protocol takes over.

    `gone` is set when the connection has ended, `sent_eof` when the peer has sent EOF.
    """

    def __init__(self) -> None:
        self.gone = False
        self.sent_eof = False
        self._early = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's aren't subclasses

    def data_received(self, data: bytes) -> None:
        self._early += data
        if self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self.sent_eof = True
        return self._transport is not None and self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Hand the connection, and what has arrived on it, over to the final protocol."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(bytes(self._early))
        if self.sent_eof and not protocol.eof_received():
            transport.close()
        if self.gone:
            protocol.connection_lost(None)
        elif not transport.is_closing():
            transport.resume_reading()
