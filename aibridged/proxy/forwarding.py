"""Sends a request on as it is, and the answer back as it comes: what the gateway has no part in."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from loguru import logger
from multidict import CIMultiDict
from yarl import URL

from aibridged.core.egress import BadDestinationError, host_destination
from aibridged.core.headers import is_hop_by_hop
from aibridged.errors import (
    AT_CAPACITY,
    REQUEST_TIMEOUT,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNREACHABLE,
    GatewayError,
)
from aibridged.proxy.dial import CONNECT_S, Dialer
from aibridged.transport.abort import RelayedResponse, broken_off
from aibridged.transport.idle_pools import Pools

_MAX_HEAD_FIELD_BYTES = 64 * 1024
# The client's headers are the request's: aiohttp adds none.
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# Said for this hop, or answered on it.
_OF_THIS_HOP = frozenset({"content-length", "expect", "host"})


class DialedConnector(aiohttp.BaseConnector):
    """Connects where CONNECT would: through the upstream proxy, if there is one.

    The hosts are those of the providers, which the operator trusts.
    """

    def __init__(self, dialer: Dialer, context: ssl.SSLContext, pools: Pools) -> None:
        super().__init__(limit=0)
        pools.add(self)
        self._pools = pools
        self._dialer = dialer
        self._context = context

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: Any,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> ResponseHandler:
        return await self._pools.connect(lambda: self._connect(req))

    async def _connect(self, req: aiohttp.ClientRequest) -> ResponseHandler:
        host, port = req.url.host_subcomponent, req.url.port
        assert host is not None
        assert port is not None
        try:
            destination = host_destination(host, port)
            transport, _ = await self._dialer.connect(destination, trusted=True)
        except (GatewayError, BadDestinationError) as error:
            if isinstance(error, GatewayError) and error.kind is AT_CAPACITY:
                raise
            raise aiohttp.ClientConnectionError(str(error)) from None
        protocol = self._factory()
        try:
            tls = await self._loop.start_tls(
                transport,
                protocol,
                self._context,
                server_hostname=destination.host,
                ssl_handshake_timeout=CONNECT_S,
            )
        except (OSError, ssl.SSLError) as error:
            raise aiohttp.ClientConnectionError(type(error).__name__) from None
        assert tls is not None
        protocol.connection_made(tls)
        return protocol


class Forwarder:
    """Forwards requests. An answer may be silent for `idle_timeout` seconds, and the next part of a
    request's body may take `read_timeout`, which may be changed."""

    def __init__(
        self, connector: aiohttp.BaseConnector, idle_timeout: float, read_timeout: float
    ) -> None:
        self.read_timeout = read_timeout
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_ADDED,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_S, sock_read=idle_timeout
            ),
            max_line_size=_MAX_HEAD_FIELD_BYTES,
            max_field_size=_MAX_HEAD_FIELD_BYTES,
        )

    async def close(self) -> None:
        await self._session.close()

    async def forward(
        self, request: web.BaseRequest, url: URL, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Send the request to `url` with these end-to-end headers, and relay the answer to its end.

        Raises:
            GatewayError: there is no answer.
            ConnectionError: the answer broke off, or the client has disconnected.
        """
        upstream = await self._ask(request, url, headers)
        try:
            return await _relay(request, upstream)
        finally:
            upstream.close()

    async def _ask(
        self, request: web.BaseRequest, url: URL, headers: CIMultiDict[str]
    ) -> aiohttp.ClientResponse:
        reason: type[Exception]
        body = _Body(request, self.read_timeout) if request.body_exists else None
        try:
            return await self._session.request(
                request.method,
                url,
                headers=_sent_on(headers, request.content_length),
                data=body,
                allow_redirects=False,
            )
        except aiohttp.ConnectionTimeoutError as error:
            failure, reason = UPSTREAM_UNREACHABLE, type(error)
        except TimeoutError as error:
            failure, reason = UPSTREAM_TIMEOUT, type(error)
        except (aiohttp.ClientError, OSError) as error:
            failure, reason = UPSTREAM_UNREACHABLE, type(error)
        if body is not None and body.stalled:
            raise GatewayError(REQUEST_TIMEOUT)
        # Not the error's own text: it may quote what was sent.
        logger.warning("{} did not respond: {}", url.host, reason.__name__)
        raise GatewayError(failure)


def _sent_on(headers: CIMultiDict[str], content_length: int | None) -> CIMultiDict[str]:
    """These headers, with the length of a body that has one."""
    kept = [(name, value) for name, value in headers.items() if name.lower() not in _OF_THIS_HOP]
    if content_length is not None:
        kept.append(("Content-Length", str(content_length)))
    return CIMultiDict(kept)


class _Body:
    """The body as it arrives; `stalled` once its next part took longer than `read_timeout`."""

    def __init__(self, request: web.BaseRequest, read_timeout: float) -> None:
        self.stalled = False
        self._request = request
        self._read_timeout = read_timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        request, content = self._request, self._request.content
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not content.at_eof():
            try:
                async with asyncio.timeout(self._read_timeout):
                    chunk = await content.readany()
            except TimeoutError:
                self.stalled = True
                raise
            yield chunk


async def _relay(request: web.BaseRequest, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    response = RelayedResponse(upstream, lambda name: not is_hop_by_hop(name))
    await response.prepare(request)
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
    except aiohttp.ClientConnectionResetError:
        raise  # of the client's connection, in spite of its name
    except (aiohttp.ClientError, TimeoutError) as error:
        raise broken_off(request, type(error).__name__) from None
    await response.write_eof()
    return response
