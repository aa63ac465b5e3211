"""A client connection of the AI Proxy, until its CONNECT has been handled.

aiohttp's parser reads the connection's only request; the connection is then handed over, or gets a
response and is closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp.http import RawRequestMessage
from loguru import logger

from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.idle import GRACE_S
from aibridged.errors import HEADER_TOO_LARGE, INTERNAL_ERROR, INVALID_REQUEST, GatewayError
from aibridged.tasks import Tasks
from aibridged.transport.head_reader import RequestHeadReader

# How long a refused client may go on sending before it is cut off.
_LINGER_S = 2.0
# Deadline for the head of a request that will be refused, for want of a place.
_SURPLUS_HEAD_S = 2.0

Serve = Callable[["Client", RawRequestMessage], Awaitable[None]]


class Client(RequestHeadReader):
    """Reads the head of one request within `head_timeout` seconds, and has it served.

    `on_end` is called when the connection is gone or handed over. Until its request has come it is
    an idle one of `limiter`; `is_surplus` says that it has no place.
    """

    def __init__(
        self,
        serve: Serve,
        on_end: Callable[["Client"], None],
        *,
        is_surplus: bool,
        head_timeout: float,
        limiter: ConnectionLimiter,
    ) -> None:
        super().__init__()
        self._serve = serve
        self._on_end = on_end
        self.is_surplus = is_surplus
        self._limiter = limiter
        self._head_timeout = head_timeout
        self._answered = False
        self._tasks = Tasks()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def peer(self) -> str | None:
        """The client's IP address."""
        name = self.transport.get_extra_info("peername") if self.transport is not None else None
        return name[0] if isinstance(name, tuple) else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        within = self._head_timeout
        if self.is_surplus:
            within = min(within, _SURPLUS_HEAD_S)
        else:
            self._limiter.opened(self, self._limiter.address(self.peer))
        self._timer = self.loop.call_later(within, self.abort)

    def head_came(self, message: RawRequestMessage, *, alone: bool) -> None:
        self._begin(message, alone=alone)

    def no_head_came(self, *, too_large: bool) -> None:
        self.refuse(
            GatewayError(HEADER_TOO_LARGE)
            if too_large
            else GatewayError(INVALID_REQUEST, "The request is not well-formed HTTP.")
        )

    def eof_received(self) -> bool:
        # No tunnel is opened for a client that couldn't use it any more.
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._end()
        if self._task is not None:
            self._task.cancel()

    def give_away(self) -> asyncio.Transport:
        """Release the connection to another protocol; reading is paused."""
        assert self.transport is not None
        transport, self.transport = self.transport, None
        self._end()
        return transport

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send a response, and close."""
        if self.transport is None or self._answered:
            return
        self._answered = True
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"Content-Length: {len(body)}",
            "Connection: close",
            "Server: aibridged",
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._linger(self.transport)

    def refuse(self, error: GatewayError, **headers: str) -> None:
        """Send a refusal, and close; additional `headers` have underscores for hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer(error.kind.status, {**error.headers(), **more}, error.body())

    def leave(self) -> None:
        """Close, unless a request is on the way."""
        self._cancel_timer()
        self._timer = self.loop.call_later(GRACE_S, self.abort)

    def abort(self) -> None:
        """Abort the connection."""
        if self.transport is not None:
            self.transport.abort()

    def _begin(self, message: RawRequestMessage, *, alone: bool) -> None:
        if message.method == "CONNECT" and not alone:
            # What arrives before the response may be meant for the proxy as well as for the tunnel.
            self.refuse(
                GatewayError(INVALID_REQUEST, "Data arrived before the response to CONNECT.")
            )
            return
        self._cancel_timer()
        self._limiter.idle.remove(self)
        assert self.transport is not None
        self.transport.pause_reading()
        self._task = self._tasks.start(self._run(message), "a request to the AI Proxy")

    async def _run(self, message: RawRequestMessage) -> None:
        try:
            await self._serve(self, message)
        except Exception as error:  # noqa: BLE001 - a bug must not leave a client waiting
            # No traceback: it could quote the request's head.
            logger.error("A request to the AI Proxy failed: {}", type(error).__name__)
            self.refuse(GatewayError(INTERNAL_ERROR))

    def _linger(self, transport: asyncio.Transport) -> None:
        """Close so that the response arrives, even if the client is still sending."""
        self._cancel_timer()
        if not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        transport.resume_reading()
        self._timer = self.loop.call_later(_LINGER_S, self.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._cancel_timer()
        self._limiter.idle.remove(self)
        self._on_end(self)
