"""One upstream connection (HTTP/1.1): a request, its response, and the next request.

llhttp parses, through httptools. What arrives is passed on from the protocol's callbacks, without a
task that wakes up for it.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from itertools import chain
from typing import cast

import aiohttp
import httptools

from aibridged.tasks import Tasks
from aibridged.transport.body import StreamedBody
from aibridged.transport.upstream_response import UpstreamResponse

MAX_HEAD_BYTES = 64 * 1024
# A larger body is sent in pieces, so that writing it doesn't block the loop.
_ONE_PIECE_BYTES = 1024 * 1024
_PIECE_BYTES = 256 * 1024
# What a server of TLS answers to plain HTTP.
_TLS_ALERT = b"\x15\x03"
_TRANSFER_ENCODING = b"transfer-encoding"
_NUL, _TAB = b"\0\t"


class InvalidResponseError(aiohttp.ClientPayloadError):
    """What came is no response; the message says why in a few words, and quotes nothing of it."""


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """A kept connection ended before a byte of the response: its time had come, as a rule."""


class _EnoughError(Exception):
    """Stops the parser, and says why: what follows is no part of an answer."""


class UpstreamConnection(asyncio.Protocol):
    """A connection to a provider, for one request after another.

    What the connector uses has the names of aiohttp's own protocol.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: asyncio.Transport | None = None
        self.response: UpstreamResponse | None = None  # the current one
        self.sending: asyncio.Task[None] | None = None  # a body that is sent in pieces
        self._loop = loop
        self._give_back: GiveBack
        self._coming: asyncio.Future[UpstreamResponse] | None = None  # of the current request
        self._head: asyncio.Future[UpstreamResponse] | None = None  # the same, until it is done
        self._head_bytes = 0
        self._method = ""
        self._reason = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        note = self._headers.append
        self.on_header = lambda *header: note(header)
        self._is_whole = False
        self._is_used_up = False  # no other request may follow
        self._requests = 0
        self._reading_paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        # As other clients do, for servers that are careless with line ends and chunk sizes.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    # For the connector.

    def is_connected(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    @property
    def should_close(self) -> bool:
        return self._is_used_up

    @property
    def closed(self) -> asyncio.Future[None] | None:
        """Done once the connection is lost; None if it is already."""
        if self._closed is None and self.transport is not None:
            self._closed = self._loop.create_future()
        return self._closed

    def close(self) -> None:
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # the peer may never read again
        else:
            # Within a callback of TLS that would read on, and fail at the peer's own close.
            self._loop.call_soon(self.transport.close)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # For the pipeline.

    def send(
        self,
        give_back: "GiveBack",
        method: str,
        head: bytes,
        body: bytes | StreamedBody,
        tasks: Tasks,
        stall: float,
    ) -> asyncio.Future[UpstreamResponse]:
        """Send a request; the future that is returned gets the response once its head has come.

        The connection is given back once the response has ended, or none will come. A streamed
        body fails the request where it fails itself, and where the provider stops reading it for
        `stall` seconds.
        """
        self._give_back, self._method = give_back, method
        self._head_bytes = 0
        self._is_whole = False
        self._requests += 1
        self._coming = self._head = future = self._loop.create_future()
        if self.transport is None or self.transport.is_closing():
            self._break_off(aiohttp.ServerDisconnectedError())
        elif isinstance(body, StreamedBody):
            self.transport.write(head)
            self.sending = tasks.start(self._send_stream(body, stall), "sending a request")
        elif len(body) <= _ONE_PIECE_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.sending = tasks.start(self._send_pieces(body), "sending a request")
        return future

    def give_up(self, response: UpstreamResponse) -> None:
        """Close, if this is still the current response."""
        if self.response is response:
            self._close_early()

    def abandon(self, coming: asyncio.Future[UpstreamResponse]) -> None:
        """Close, if this is still the current request."""
        if self._coming is coming:
            self._close_early()

    def pause(self) -> None:
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            self.transport.resume_reading()

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.response is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._is_used_up = True
            if not self._is_whole:
                if self._head is None and self.response is not None and self._pieces:
                    self.response.feed(b"".join(self._pieces), whole=False)  # what came before
                self._break_off(InvalidResponseError(_why(error, data)))
                return
        response = self.response
        if response is None:
            if self._head is None or self._head_bytes > MAX_HEAD_BYTES:
                what = "its head is too large" if self._head else "nothing was asked"
                self._break_off(InvalidResponseError(what))
            return
        head, pieces, whole = self._head, self._pieces, self._is_whole
        if head is not None:
            self._head = None
            self._head_bytes = 0
            if not head.done():
                head.set_result(response)
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._head_bytes = 0
        elif whole:
            piece = b""
        else:
            if head is None:
                self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._break_off(InvalidResponseError("endless trailers or chunk extensions"))
            return
        if whole:
            self._end()
        response.feed(piece, whole=whole)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> None:
        # Left to `connection_lost`, it would have to wait until everything has been sent.
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._writable.set()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        self._ended(exc)

    def _ended(self, exc: Exception | None) -> None:
        response = self.response
        if exc is None and response is not None and _ends_with_connection(response):
            self._is_used_up = True
            self._end()
            response.feed(b"", whole=True)
        elif isinstance(exc, OSError):
            self._break_off(aiohttp.ClientOSError(*exc.args))
        elif response is None:
            self._break_off(aiohttp.ServerDisconnectedError())
        else:
            self._break_off(aiohttp.ClientPayloadError("the connection has ended"))

    # From the parser; each chunk of a body goes to `on_body`, a header's name and value to
    # `on_header`.

    def on_message_begin(self) -> None:
        if self._head is None or self.response is not None:
            raise _EnoughError("a second response to one request")
        self._reason = b""
        self._headers.clear()

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers = _tidied(self._headers[:])
        self._headers.clear()  # for the trailers, which are ignored
        if status < 200:
            if status < 100:
                raise _EnoughError("its status is below 100")
            return
        if self._head_bytes > MAX_HEAD_BYTES and sum(map(len, chain(*headers))) > MAX_HEAD_BYTES:
            raise _EnoughError("its head is too large")
        response = UpstreamResponse(status, self._reason, headers, self)
        if _TRANSFER_ENCODING in response.names and not _is_framed(response):
            # It is for this hop: the client would get bytes in a coding that nothing names.
            raise _EnoughError("its Transfer-Encoding is not supported, only chunked is")
        self.response = response
        if self._method == "HEAD":
            self._is_whole = True
            raise _EnoughError("no body follows, whatever the length says")

    def on_message_complete(self) -> None:
        if self.response is not None:
            self._is_whole = True
            if not self._parser.should_keep_alive():
                self._is_used_up = True
        elif self._pieces:
            raise _EnoughError("an interim response with a body")

    def _end(self) -> None:
        """Give the connection back to the pool, if it can take another request."""
        coming = self._coming
        self._coming = self._head = self.response = None
        self._pieces.clear()
        sending, self.sending = self.sending, None
        unsent = sending is not None and sending.cancel()
        if self._reading_paused:
            self.resume()
        transport = self.transport
        if unsent or (transport is not None and transport.get_write_buffer_size()):
            self._is_used_up = True  # the response came before all was sent
        if coming is not None:
            self._give_back(self)

    def _close_early(self) -> None:
        self._is_used_up = True
        self.abort()
        self._end()

    def _break_off(self, error: Exception) -> None:
        head, response = self._head, self.response
        has_ended = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        if has_ended and self._requests > 1 and not self._head_bytes:
            error = StaleConnectionError()
        self._close_early()
        if head is not None:
            if not head.done():
                head.set_exception(error)
        elif response is not None:
            response.fail(error)

    async def _send_pieces(self, body: bytes) -> None:
        view = memoryview(body)
        for start in range(0, len(body), _PIECE_BYTES):
            if self.transport is None or self.transport.is_closing():
                return  # the waiter gets the error
            self.transport.write(view[start : start + _PIECE_BYTES])
            await self._writable.wait()

    async def _send_stream(self, body: StreamedBody, stall: float) -> None:
        try:
            async with aclosing(body.pieces) as pieces:
                async for piece in pieces:
                    if not self.is_connected():
                        return  # the waiter gets the error
                    self._write_piece(piece, body)
                    if not self._writable.is_set():
                        async with asyncio.timeout(stall):
                            await self._writable.wait()
            if body.length is None and self.transport is not None:
                self.transport.write(b"0\r\n\r\n")
        except Exception as error:  # noqa: BLE001 - the request's failure, not the task's
            # A response under way can't be replaced by a refusal.
            begun = self._head is None
            self._break_off(aiohttp.ClientPayloadError("the body broke off") if begun else error)

    def _write_piece(self, piece: bytes, body: StreamedBody) -> None:
        if body.length is None and piece:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if piece and self.transport is not None:
            self.transport.write(piece)


GiveBack = Callable[[UpstreamConnection], None]
"""Gives a connection back to its pool."""


def _tidied(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with trailing whitespace removed, as the lenient parser keeps it."""
    # A line each, to be searched at once; `in` would try to take the bytes for a number first.
    lines = b"\n".join([*chain.from_iterable(headers), b""])
    if _TAB not in lines and lines.find(b" \n") < 0 and _NUL not in lines:
        return headers
    if any(b"\0" in value or name.endswith(b" ") for name, value in headers):
        raise _EnoughError("a header is malformed")
    return [(name, value.rstrip(b" \t")) for name, value in headers]


def _is_framed(response: UpstreamResponse) -> bool:
    """Whether the transfer coding of the body is chunks alone, which the parser takes off."""
    codings = [
        value.strip(b" \t").lower()
        for name, value in response.headers
        if name.lower() == _TRANSFER_ENCODING
    ]
    return codings == [b"chunked"]


def _why(error: Exception, data: bytes) -> str:
    """What the parser stumbled over: its own words quote nothing of what came."""
    if data.startswith(_TLS_ALERT):
        return "it speaks TLS at that port, so the URL should begin with https://"
    if isinstance(error, httptools.HttpParserUpgrade):
        return "an upgrade to another protocol"
    if isinstance(error.__context__, _EnoughError):
        return str(error.__context__)
    return str(error)


def _ends_with_connection(response: UpstreamResponse) -> bool:
    """Whether a body has no other end."""
    return not (_TRANSFER_ENCODING in response.names or b"content-length" in response.names)
