"""Write buffers of slow clients: bounded per client, and in total (backpressure)."""

import asyncio
import socket
import sys
from typing import Protocol

from loguru import logger

MAX_UNSENT = 256 * 1024
"""Bytes that the kernel buffers for a client. By default these are megabytes."""
MAX_BUFFERED = 128 * 1024 * 1024
"""Bytes in the daemon that wait for stalled clients: some 400 of them, at the usual 320 KiB."""

_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)
_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Client(Protocol):
    """A connection that may stall."""

    @property
    def transport(self) -> asyncio.Transport | None: ...
    def abort(self) -> None: ...


class StalledClients:
    """The clients that don't read their responses; beyond the bound the first is cut off.

    That is the one that has stalled longest, and that the write timeout would hit next.
    """

    def __init__(self, most: int = MAX_BUFFERED) -> None:
        self.buffered = 0
        self._most = most
        self._sizes: dict[Client, int] = {}  # in the order in which they stalled

    def add(self, client: Client) -> None:
        """Add a client that has just stalled."""
        if client.transport is None:
            return
        self.remove(client)
        size = self._sizes[client] = client.transport.get_write_buffer_size()
        self.buffered += size
        while self.buffered > self._most:
            first = next(iter(self._sizes))
            self.remove(first)
            logger.warning("Closed the connection of a client that stopped reading: {}", _MANY)
            first.abort()

    def remove(self, client: Client) -> None:
        """Remove a client that reads again, or is gone."""
        self.buffered -= self._sizes.pop(client, 0)


_MANY = "the total buffer limit for such clients is exceeded"


def bound_unsent(transport: asyncio.BaseTransport) -> None:
    """Limit the kernel's send buffer to `MAX_UNSENT`, where that is possible."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in _TCP_FAMILIES or _NOTSENT_LOWAT is None:
        return
    connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, MAX_UNSENT)
