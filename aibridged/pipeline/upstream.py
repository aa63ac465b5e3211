"""The provider's side of a connection: aiohttp's own, which says when something has come.

aiohttp hands a body over through a future and a task that wakes up, chunk for chunk. A relay has
nothing to wait for, so it is called from the connection itself and writes on at once; the parser,
the buffer and the flow control stay aiohttp's.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from aibridged.pipeline.header_bytes import keep_bytes

_MAX_HEAD_FIELD_BYTES = 64 * 1024
_NOT_ADDED = CIMultiDict[None]({"Content-Type": None})


class UpstreamConnection(ResponseHandler):
    """`on_progress` is called after each piece of a body has been parsed, and at the end."""

    on_progress: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Without data, aiohttp is only resuming, from within a read: the reader sees it itself.
        if data and self.on_progress is not None:
            self.on_progress()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls it after every read; it does nothing for a connection that isn't paused.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            # A connection that aiohttp closes itself, at a malformed chunk say, it tells nobody of.
            body.set_exception(aiohttp.ClientPayloadError("the connection has ended"))
        if self.on_progress is not None:
            self.on_progress()


class UpstreamRequest(aiohttp.ClientRequest):
    """A client request that keeps the bytes of header values, if it has a body.

    A body that is there as bytes is written with its head, at once and in one packet; aiohttp
    starts a task for it. `write_eof` isn't awaited, since the answer may come before all is sent.
    """

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add none, and let the body bring none: the caller's headers are the request's."""
        self._skip_auto_headers = _NOT_ADDED

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol, body = conn.protocol, self._body
        assert protocol is not None
        if not isinstance(body, aiohttp.BytesPayload) or protocol.writing_paused:
            return await super().send(conn)
        writer = StreamWriter(protocol, self.loop)
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        keep_bytes(writer, self.headers)
        await writer.write(body._value, drain=False)
        writer.set_eof()
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        keep_bytes(writer, self.headers)
        await super().write_bytes(writer, conn, content_length)


class _Connector(aiohttp.TCPConnector):
    """Connects with `UpstreamConnection`, and as often as there are requests."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, **options)
        # aiohttp has no public way to name the protocol.
        self._factory = cast(
            "partial[ResponseHandler]", partial(UpstreamConnection, loop=self._loop)
        )


def make_session(connect_timeout: float) -> aiohttp.ClientSession:
    """The client session of one provider; connecting may take so many seconds, an answer any time.

    The gateway is a relay: it keeps no cookies, decodes nothing and adds no headers of its own.
    """
    return aiohttp.ClientSession(
        request_class=UpstreamRequest,
        connector=_Connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout
        ),
        max_line_size=_MAX_HEAD_FIELD_BYTES,
        max_field_size=_MAX_HEAD_FIELD_BYTES,
    )
