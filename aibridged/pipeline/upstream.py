"""The provider's side of a connection: aiohttp's own, which says when something has come.

aiohttp hands a body over through a future and a task that wakes up, chunk for chunk. A relay has
nothing to wait for, so it is called from the connection itself and writes on at once; the parser,
the buffer and the flow control stay aiohttp's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from aibridged.pipeline.header_bytes import BytesRequest

_MAX_HEAD_FIELD_BYTES = 64 * 1024


class UpstreamConnection(ResponseHandler):
    """`on_progress` is called after each piece of a body has been parsed, and at the end."""

    on_progress: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Without data, aiohttp is only resuming, from within a read: the reader sees it itself.
        if data and self.on_progress is not None:
            self.on_progress()

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            # A connection that aiohttp closes itself, at a malformed chunk say, it tells nobody of.
            body.set_exception(aiohttp.ClientPayloadError("the connection has ended"))
        if self.on_progress is not None:
            self.on_progress()


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
        request_class=BytesRequest,
        connector=_Connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout
        ),
        max_line_size=_MAX_HEAD_FIELD_BYTES,
        max_field_size=_MAX_HEAD_FIELD_BYTES,
    )
