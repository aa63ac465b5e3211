"""Aborts of relayed responses, shared by the gateway and the AI Proxy."""

import socket
import struct
from collections.abc import Callable

import aiohttp
from aiohttp import web
from aiohttp.http import HttpVersion11
from multidict import CIMultiDict

from aibridged.core.headers import end_to_end

_AT_ONCE = struct.pack("ii", 1, 0)


class BrokenOffError(ConnectionError):
    """Whoever answers broke off, or fell silent, in the middle of the answer."""


class RelayedResponse(web.StreamResponse):
    """A response with those of the answer's headers that pass, and no others.

    aiohttp would add its own Server, Date and Content-Type where the answer has none.
    """

    def __init__(self, upstream: aiohttp.ClientResponse, passes: Callable[[str], bool]) -> None:
        super().__init__(
            status=upstream.status,
            reason=upstream.reason or "",
            headers=CIMultiDict(end_to_end(upstream.headers.items(), passes)),
        )

    async def _prepare_headers(self) -> None:
        headers = self.headers
        absent = [name for name in ("Server", "Date", "Content-Type") if name not in headers]
        await super()._prepare_headers()
        for name in absent:
            headers.popall(name, None)


def broken_off(request: web.BaseRequest, reason: str) -> BrokenOffError:
    """Break the client's connection off with the answer; returns what to raise."""
    break_off(request)
    return BrokenOffError(reason)


def break_off(request: web.BaseRequest) -> None:
    """End the client's connection, so that no client takes the half of an answer for a whole."""
    transport = request.transport
    if transport is None:
        return
    if request.version < HttpVersion11 and not transport.is_closing():
        # A body may end with the connection there, unless it is reset.
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
