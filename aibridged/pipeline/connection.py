"""The client's side of a connection: aiohttp's own, with the manners that it lacks.

Its error page and its log quote the offending line, which may hold a token; it waits without end
for the rest of a request's head; and it lets a client that has stopped reading hold a response
open for ever. All three are mended here.
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from loguru import logger

from aibridged.errors import INTERNAL_ERROR, INVALID_REQUEST, GatewayError
from aibridged.pipeline.errors import answer
from aibridged.pipeline.request import GatewayRequest, Handler

# Longer than the idle time of the load balancers in front, so that they close first.
_KEEPALIVE_S = 620.0
# Room for long `anthropic-beta` lists and tokens; aiohttp's 8190 is tight.
_MAX_FIELD_BYTES = 32 * 1024


class Connection(RequestHandler):
    """One client connection. `read_timeout` and `write_timeout` are in seconds."""

    __slots__ = ("_head_timer", "_read_timeout", "_stall_timer", "_write_timeout")

    def __init__(
        self, manager: web.Server, *, read_timeout: float, write_timeout: float, **kwargs: Any
    ) -> None:
        super().__init__(manager, **kwargs)
        self._read_timeout = read_timeout
        self._write_timeout = write_timeout
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_arrived()
        self._cancel_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            self._head_arrived()
        elif not self._request_in_progress and self._head_timer is None:
            self._await_head()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls it after every read; it does nothing for a connection that isn't paused.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self._loop.call_later(self._write_timeout, self._abort)

    def resume_writing(self) -> None:
        self._cancel_stall()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp couldn't parse, or a bug, without a word of what was sent."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("There is nobody to answer, or only half an answer to break off.")
        if status < 500:
            logger.debug("A request from {} is not HTTP: {}", request.remote, type(exc).__name__)
            response = answer(GatewayError(INVALID_REQUEST, "The request is not well-formed HTTP."))
        else:
            logger.error("A request failed inside the server: {}", type(exc).__name__)
            response = answer(GatewayError(INTERNAL_ERROR))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Say that something failed, without aiohttp's quotation of the request."""
        logger.error("A connection failed: {}", type(kwargs.get("exc_info")).__name__)

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._read_timeout, self._abort)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cancel_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Server(web.Server):
    """Makes a `Connection` of every accepted socket, and cancels the handler when it is lost."""

    def __init__(self, handler: Handler, *, read_timeout: float, write_timeout: float) -> None:
        # The handler is only ever given what the factory makes.
        super().__init__(
            handler,  # type: ignore[arg-type]
            request_factory=GatewayRequest.make,
            handler_cancellation=True,
        )
        self._timeouts = {"read_timeout": read_timeout, "write_timeout": write_timeout}

    def __call__(self) -> Connection:
        return Connection(
            self,
            loop=self._loop,
            keepalive_timeout=_KEEPALIVE_S,
            access_log=None,
            auto_decompress=False,
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            **self._timeouts,
        )
