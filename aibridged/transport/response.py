"""The downstream response: the provider's head, byte for byte, and its body."""

from collections.abc import Collection
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11

from aibridged.core.headers import NOT_RELAYED, relayed
from aibridged.transport.request import GatewayRequest
from aibridged.transport.upstream_response import UpstreamResponse

_ERRORS = 400
_WITHOUT_BODY = frozenset({204, 304})
_LENGTH = b"content-length"
_END_OF_HEAD = b"\r\n"  # behind the last line's own


class DownstreamResponse(web.StreamResponse):
    """A response that writes itself straight to the client's connection.

    `dropped` are the names of headers that aren't relayed, in lower case, and `without` are further
    ones; `length` is the body's where it isn't the provider's. aiohttp would copy the headers
    several times, and add its own. The head waits for the beginning of the body, so that they
    travel in one packet.
    """

    def __init__(
        self,
        upstream_response: UpstreamResponse,
        *,
        without: Collection[bytes] = (),
        length: int | None = None,
        dropped: frozenset[bytes] = NOT_RELAYED,
    ) -> None:
        super().__init__(status=upstream_response.status, reason="")
        if length is not None or self._status == 204:
            without = (*without, _LENGTH)
        self._dropped = dropped | {*without} if without else dropped
        self._source = upstream_response
        self._length = length
        self._head: bytes | None = None
        self._in_chunks = False

    @property
    def is_sent(self) -> bool:
        """Whether it has been written to its end."""
        return self._eof_sent

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Bind the response to a request, and make the head ready."""
        if self._req is None and not self._eof_sent:
            self.begin(cast(GatewayRequest, request))
        return self._payload_writer

    def send(self, piece: bytes, *, last: bool = False) -> None:
        """Write a chunk of the body, even an empty one, and the end of it after the `last`.

        Raises:
            ConnectionResetError: the client has disconnected.
        """
        transport = self._client.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        if self._in_chunks:
            if piece:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            if last:
                piece += b"0\r\n\r\n"
        if self._head is not None:
            piece, self._head = self._head + piece, None
        if piece:
            transport.write(piece)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """`send`, with backpressure: waits while the client is slow."""
        self.send(bytes(data))
        if self._client.writing_paused:
            await self._drain()

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Write the last chunk, with backpressure. A second call does nothing."""
        if self._eof_sent:
            return
        self.send(bytes(data), last=True)
        self._eof_sent = True
        if self._client.writing_paused:
            await self._drain()

    async def _drain(self) -> None:
        if self._payload_writer is not None:
            await self._payload_writer.drain()

    def begin(self, request: GatewayRequest) -> None:
        """`prepare`, where nothing awaits it."""
        self._req = request
        self._client = request.protocol
        self._payload_writer = request.writer
        keep_alive = request.keep_alive
        is_11 = request.version == HttpVersion11
        source, replacement = self._source, request.replacement
        came, names = source.headers, source.names
        prefixes = replacement.prefixes if replacement is not None else ()
        headers = relayed(came, names, self._dropped, prefixes)
        has_length = _LENGTH in names
        if has_length and headers is not came:
            has_length = came[names[_LENGTH]] in headers
        lines = [b"HTTP/1.%d %d %b" % (is_11, self._status, source.reason)]
        lines += map(b": ".join, headers)
        if self._length is not None:
            has_length = True
            lines.append(b"Content-Length: %d" % self._length)
        if replacement is not None and self._status < _ERRORS:
            lines += map(b": ".join, replacement.headers)
        if request.added_headers:
            lines += map(b": ".join, request.added_headers)
        if not (has_length or self._status in _WITHOUT_BODY or request.method == "HEAD"):
            if is_11:
                self._in_chunks = True
                lines.append(b"Transfer-Encoding: chunked")
            else:
                keep_alive = False
        if keep_alive != is_11:
            lines.append(b"Connection: keep-alive" if keep_alive else b"Connection: close")
        lines.append(_END_OF_HEAD)
        self._keep_alive = keep_alive
        self._head = head = b"\r\n".join(lines)
        # The writer knows whether the head was sent.
        request.writer.output_size += len(head)
