"""Aborts of relayed responses, shared by the gateway and the AI Proxy."""

import socket
import struct

from aiohttp import web
from aiohttp.http import HttpVersion11

_AT_ONCE = struct.pack("ii", 1, 0)


class BrokenOffError(ConnectionError):
    """The peer broke off, or fell silent, in the middle of its response."""


def broken_off(request: web.BaseRequest, reason: str) -> BrokenOffError:
    """Abort the client's connection along with the response; returns the error to raise."""
    break_off(request)
    return BrokenOffError(reason)


def break_off(request: web.BaseRequest) -> None:
    """Abort the client's connection, so that no client takes a truncated response as complete."""
    transport = request.transport
    if transport is None:
        return
    if request.version < HttpVersion11 and not transport.is_closing():
        # A body may end with the connection there, unless it is reset.
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
