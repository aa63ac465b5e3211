"""HTTP server: aiohttp's client connections, with our own timeouts, limits and keep-alive.

aiohttp's error page and log quote the offending line, which may contain a token; it waits without a
deadline for the rest of a request's head; it lets a client that has stopped reading hold a response
open forever; and at shutdown it closes connections without notice. All four are fixed here.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

import msgspec
from aiohttp import StreamReader, hdrs, web
from aiohttp.web_protocol import RequestHandler
from loguru import logger

from aibridged.clock import SystemClock
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.idle import GRACE_S
from aibridged.errors import HEADER_TOO_LARGE, INTERNAL_ERROR, INVALID_REQUEST, GatewayError
from aibridged.transport.client_buffers import StalledClients, bound_unsent
from aibridged.transport.head_reader import is_too_large
from aibridged.transport.refusal import refusal
from aibridged.transport.request import GatewayRequest, Handler
from aibridged.transport.serial_handler import SerialHandler

# Longer than the idle timeout of load balancers in front, so that they close first.
_KEEPALIVE_S = 620.0
# Enough for long `anthropic-beta` lists and tokens; aiohttp's 8190 is tight.
_MAX_FIELD_BYTES = 32 * 1024
_MAX_FIELDS = 128
# Bytes of a body that may wait to be read, twice over; and chunks, a sixteenth as many: they take a
# microsecond each, however small they are.
_READ_AT_ONCE = 64 * 1024
# A client that uses a connection just as it is closed can't know whether its request was taken. So
# an idle one stays open a moment longer: requests until then are served, with a notice to close.
_LAST_CALL_S = 0.5
# Surplus clients shouldn't keep others from being refused.
_SURPLUS_READ_S = 2.0


class Limits(msgspec.Struct):
    """Deadlines for a client's part of the exchange, in seconds. They may be changed.

    `half_close`: a client that writes no more once its request has come is still answered.
    """

    read_timeout: float
    write_timeout: float
    half_close: bool = False


class Connection(SerialHandler):
    """One client connection of a `Server`.

    `is_surplus` says that it has no place: only probes are served.
    """

    __slots__ = (
        "_address",
        "_asked",
        "_connection_limiter",
        "_farewell",
        "_head_timer",
        "_is_last_call",
        "_server",
        "_stall_timer",
        "is_surplus",
    )

    def __init__(self, server: "Server", *, is_surplus: bool, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self.is_surplus = is_surplus
        self._server = server
        self._connection_limiter = server.connection_limiter
        self._address: bytes | None = None
        self._asked: StreamReader | None = None  # the body of the last request without a response
        self._is_last_call = False
        self._farewell: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    @property
    def is_leaving(self) -> bool:
        """Whether the next response is the connection's last."""
        return self._is_last_call or self._server.is_draining

    @property
    def has_asked(self) -> bool:
        """Whether a request has come on it."""
        return bool(self._request_count)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        bound_unsent(transport)
        self._await_head()
        if self.is_surplus:
            self._is_last_call = True
            self._lingering_time = _SURPLUS_READ_S
            return
        peer = self.peername
        self._address = self._connection_limiter.address(
            peer[0] if isinstance(peer, tuple) else None
        )
        self._connection_limiter.opened(self, self._address)
        if self._server.is_draining:
            self.leave()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection_limiter.idle.remove(self)
        self._server.stalled.remove(self)
        self._head_arrived()
        self._cancel_stall()
        self._cancel_farewell()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            self._connection_limiter.idle.remove(self)
            self._head_arrived()
            self._asked = self._messages[-1][1]
        elif not self._request_in_progress and self._head_timer is None:
            self._await_head()

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says None
        """Whether the connection stays open for a response: TCP can't tell who has left from who
        only writes no more. TLS closes it all the same."""
        asked = self._asked
        if not self._server.limits.half_close or asked is None or not asked.is_eof():
            return False
        self.close()  # after the response
        self._is_last_call = True
        return True

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls it after every read; it does nothing for a connection that isn't paused.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._server.stalled.add(self)
        self._stall_timer = self._loop.call_later(self._server.limits.write_timeout, self.abort)

    def resume_writing(self) -> None:
        self._server.stalled.remove(self)
        self._cancel_stall()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to what aiohttp couldn't parse, or to a bug, without quoting the request."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("The client is gone, or the response is already half sent.")
        if status < 500:
            logger.debug(
                "A request from {} is not valid HTTP: {}", request.remote, type(exc).__name__
            )
            response = refusal(_malformed(exc))
        else:
            logger.error("A request failed inside the server: {}", type(exc).__name__)
            response = refusal(GatewayError(INTERNAL_ERROR))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log a failure, without aiohttp's quotation of the request."""
        logger.error("A connection failed: {}", type(kwargs.get("exc_info")).__name__)

    def log_access(self, *args: Any) -> None:
        """No-op: aiohttp's access log is off."""
        if self._messages:
            return
        self._asked = None
        if not self._is_last_call:
            self._connection_limiter.became_idle(self, self._address)

    def leave(self) -> None:
        """Close once no request has come for a moment, or for longer before the first one."""
        self._cancel_farewell()
        self._is_last_call = True
        seen = self._request_count if self._is_idle else None
        is_new = not self._request_count and not self._server.is_draining
        within = GRACE_S if is_new else _LAST_CALL_S
        self._farewell = self._loop.call_later(within, self._leave_if_idle, seen)

    def _leave_if_idle(self, seen: int | None) -> None:
        if self._is_idle and self._request_count == seen:
            self.finish()
        else:
            self.leave()

    def finish(self) -> None:
        """Close as soon as no request is in flight."""
        if not self._is_idle:
            self.close()  # after the response
            return
        transport = self.transport
        self.force_close()
        if transport is not None:
            # TLS sends a close_notify, which an idle client may not read before its next request.
            self._cancel_farewell()
            self._farewell = self._loop.call_later(_LAST_CALL_S, _abandon, transport)

    @property
    def _is_idle(self) -> bool:
        return not self._request_in_progress and not self._messages

    def _await_head(self) -> None:
        within = self._server.limits.read_timeout
        if self.is_surplus:
            within = min(within, _SURPLUS_READ_S)
        self._head_timer = self._loop.call_later(within, self.abort)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cancel_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _cancel_farewell(self) -> None:
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None

    def abort(self) -> None:
        """Abort, so that no client takes a truncated response as complete."""
        if self.transport is not None:
            self.transport.abort()


def _abandon(transport: asyncio.Transport) -> None:
    """Abort a connection that is closing, unless there is something left to write."""
    if not transport.get_write_buffer_size():
        transport.abort()


def _malformed(exc: BaseException | None) -> GatewayError:
    if is_too_large(exc):
        return GatewayError(
            HEADER_TOO_LARGE,
            f"The request's header is too large: it may have {_MAX_FIELDS} fields of "
            f"{_MAX_FIELD_BYTES} bytes each, the URL included.",
        )
    return GatewayError(INVALID_REQUEST, "The request is not well-formed HTTP.")


def _unless_misframed(handler: Handler, request: GatewayRequest) -> Awaitable[web.StreamResponse]:
    """Handle the request, unless its body is in a transfer coding that isn't undone here.

    aiohttp takes an empty `Transfer-Encoding` for no body, and the body for the next request.
    """
    codings = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
    if codings and [coding.lower() for coding in codings] != ["chunked"]:
        return _refuse_coding()
    return handler(request)


async def _refuse_coding() -> web.StreamResponse:
    message = "Unsupported Transfer-Encoding: only chunked is accepted."
    response = refusal(GatewayError(INVALID_REQUEST, message))
    response.force_close()
    return response


class Server(web.Server):
    """Makes a `Connection` of every accepted socket, and cancels the handler when it is lost.

    `handler` and `limits` may be changed, for requests to come. `connection_limiter` counts the
    connections.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits,
        connection_limiter: ConnectionLimiter | None = None,
    ) -> None:
        # The handler only ever gets what the factory makes.
        super().__init__(
            self._handle,  # type: ignore[arg-type]
            request_factory=GatewayRequest.make,
            handler_cancellation=True,
        )
        self.handler = handler
        self.limits = limits
        self.connection_limiter = connection_limiter or ConnectionLimiter(SystemClock())
        self.stalled = StalledClients()
        self.is_draining = False
        self._open = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def _handle(self, request: GatewayRequest) -> Awaitable[web.StreamResponse]:
        # Connections keep the handler that they were made with: this one delegates to the latest.
        return _unless_misframed(self.handler, request)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._open += 1
        self._empty.clear()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._open -= 1
        if not self._open:
            self._empty.set()

    def drain(self) -> None:
        """Announce with each response that it is the connection's last, and close idle connections.

        Requests on open connections are still served; an idle one stays open for a moment.
        """
        self.is_draining = True
        for connection in self._open_connections():
            connection.leave()

    def finish(self) -> None:
        """Close each connection as soon as it is idle.

        A draining server's new ones keep their moment: what they ask may be on its way.
        """
        for connection in self._open_connections():
            if connection.has_asked:
                connection.finish()

    def abort(self) -> None:
        """Abort all connections."""
        for connection in self._open_connections():
            connection.abort()

    async def empty(self) -> None:
        """Return once all connections are closed."""
        await self._empty.wait()

    def _open_connections(self) -> list[Connection]:
        return [each for each in self.connections if isinstance(each, Connection)]

    def connection_for(self, handler: Handler) -> Connection:
        """A connection whose requests go to another handler, such as a decrypted one."""
        connection = self()
        connection._request_handler = partial(_unless_misframed, handler)
        return connection

    def __call__(self, is_surplus: bool = False) -> Connection:
        return Connection(
            self,
            is_surplus=is_surplus,
            loop=self._loop,
            keepalive_timeout=_KEEPALIVE_S,
            access_log=None,
            auto_decompress=False,
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            max_headers=_MAX_FIELDS,
            read_bufsize=_READ_AT_ONCE,
        )
