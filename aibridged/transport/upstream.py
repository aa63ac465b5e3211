"""Upstream HTTP client with a connection pool (keep-alive) for each provider.

aiohttp resolves names, connects, speaks TLS and keeps idle connections. The rest is our own, since
a relay needs little of what a client does, and that would be most of a request's cost: a head is
sent as bytes, in one packet with its body.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

import aiohttp
from yarl import URL

from aibridged.tasks import Tasks
from aibridged.transport.body import StreamedBody
from aibridged.transport.idle_pools import Dial, PooledConnector, Pools, connections
from aibridged.transport.upstream_connection import GiveBack, UpstreamConnection
from aibridged.transport.upstream_proxy import UpstreamProxy, UpstreamProxyError
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse

# May be sent again if a kept-alive connection turns out to be closed.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_END_OF_HEAD = b"\r\n"  # behind the last line's own
# The status of a proxy itself, never of a server behind it.
_PROXY_AUTHENTICATION_REQUIRED = 407


class Upstream:
    """The connections to one provider, as many as there are requests.

    Connecting may take `connect_timeout` seconds; a response has no deadline here. `connection`
    makes the connections, which count among those of `pools`; `dial` or `proxy` replace aiohttp's
    connecting. An idle one is kept for `keepalive_timeout` seconds.
    """

    def __init__(
        self,
        base_url: str,
        connect_timeout: float,
        pools: Pools,
        connection: Callable[..., UpstreamConnection] = UpstreamConnection,
        dial: Dial | None = None,
        proxy: UpstreamProxy | None = None,
        keepalive_timeout: float = 15.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        url = URL(base_url)
        self._loop = loop
        make = partial(connection, loop=loop)
        is_plain = url.scheme == "http"
        if proxy is not None:
            dial = proxy.dial_proxy if is_plain else proxy.dial_tls
        # The connector reads from it where to connect.
        destination = aiohttp.ClientRequest("GET", url, loop=loop)
        self._connector = PooledConnector(pools, make, destination, keepalive_timeout, dial)
        self._give_back = cast(GiveBack, self._connector.release)
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout
        )
        self._path = url.raw_path.rstrip("/")
        host = destination.headers["Host"]
        self._shown = f"{url.scheme}://{host}{self._path}"
        self._way = "" if proxy is None else f" through {proxy}"
        self._before_target, self._after_target = self._path, f" HTTP/1.1\r\nHost: {host}"
        self._asks_proxy = proxy is not None and is_plain
        if proxy is not None and is_plain:  # it is asked itself, and gets the whole URL
            self._before_target = f"http://{host}{self._path}"
            self._after_target += "\r\n" + proxy.headers.rstrip()
        self._sending = Tasks()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are in use, or being opened, and how many are idle."""
        return connections(self._connector)

    def shown_url(self, path: str = "") -> str:
        """The URL of a path below the base URL, and the proxy on the way, without credentials."""
        return f"{self._shown}{path}{self._way}"

    def raw_path(self, target: str) -> str:
        """The request target of a `target` below the base URL."""
        return self._path + target

    def ask(
        self,
        method: str,
        target: str,
        headers: RawHeaders,
        body: bytes | StreamedBody,
        idle_timeout: float,
    ) -> Coroutine[Any, Any, UpstreamResponse]:
        """Send a request, and wait up to `idle_timeout` seconds for the response's head.

        `target` is the path below the base URL, with the query. A POST is never sent twice, nor is
        a body that streams: for that the wait begins at its end, and the provider may not stop
        reading it for longer than `idle_timeout`.

        Raises:
            aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError: nothing was sent.
            aiohttp.ClientError, TimeoutError: there was no response.
            GatewayError: nothing was sent, since no descriptor is left; or what the streamed body
                raised.
        """
        line = f"{method} {self._before_target}{target}{self._after_target}"
        lines = [line.encode(), *map(b": ".join, headers)]
        if isinstance(body, StreamedBody):
            lines.append(_framing(body.length))
        elif body or method not in _WITHOUT_BODY:
            lines.append(_framing(len(body)))
        lines.append(_END_OF_HEAD)
        head = b"\r\n".join(lines)
        if self._asks_proxy or method in _IDEMPOTENT:
            return self._ask_or_retry(method, head, body, idle_timeout)
        return self._ask(method, head, body, idle_timeout)

    async def _ask_or_retry(
        self, method: str, head: bytes, body: bytes | StreamedBody, idle_timeout: float
    ) -> UpstreamResponse:
        try:
            response = await self._ask(method, head, body, idle_timeout)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            if isinstance(body, StreamedBody) or method not in _IDEMPOTENT:
                raise
            response = await self._ask(method, head, body, idle_timeout)
        if self._asks_proxy and response.status == _PROXY_AUTHENTICATION_REQUIRED:
            response.close()
            raise UpstreamProxyError(f"the upstream proxy responded with status {response.status}")
        return response

    async def _ask(
        self, method: str, head: bytes, body: bytes | StreamedBody, idle_timeout: float
    ) -> UpstreamResponse:
        connector = self._connector
        handler = connector.idle()
        if handler is None:
            try:
                handler = await connector.opened(self._timeout)
            except TimeoutError:
                raise aiohttp.ConnectionTimeoutError from None
        connection = cast(UpstreamConnection, handler)
        coming = connection.send(self._give_back, method, head, body, self._sending, idle_timeout)
        if isinstance(body, StreamedBody) and connection.sending is not None:
            return await self._once_sent(connection, coming, idle_timeout)
        timer = self._loop.call_later(idle_timeout, _expire, coming)
        try:
            return await coming
        except BaseException:
            connection.abandon(coming)
            raise
        finally:
            timer.cancel()

    async def _once_sent(
        self,
        connection: UpstreamConnection,
        coming: asyncio.Future[UpstreamResponse],
        idle_timeout: float,
    ) -> UpstreamResponse:
        """The response, with a deadline from when the body was sent: until then it has its own."""
        assert connection.sending is not None
        try:
            async with asyncio.timeout(None) as deadline:

                def sent(_: object) -> None:
                    if not coming.done():
                        deadline.reschedule(self._loop.time() + idle_timeout)

                connection.sending.add_done_callback(sent)
                return await coming
        except BaseException:
            connection.abandon(coming)
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._sending.cancel()
        await self._connector.close()


def _framing(length: int | None) -> bytes:
    if length is None:
        return b"Transfer-Encoding: chunked"
    return b"Content-Length: %d" % length


def _expire(coming: asyncio.Future[UpstreamResponse]) -> None:
    if not coming.done():
        coming.set_exception(TimeoutError())
