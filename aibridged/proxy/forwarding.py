"""Forwards requests that the gateway doesn't serve to the original host, unchanged."""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from aibridged.core.egress import BadDestinationError, host_destination
from aibridged.core.headers import OF_THIS_HOP
from aibridged.errors import AT_CAPACITY, DESTINATION_UNREACHABLE, GatewayError
from aibridged.proxy.dial import CONNECT_S, Dialer
from aibridged.transport.body import StreamedBody, arriving
from aibridged.transport.idle_pools import Dial
from aibridged.transport.relay import relay
from aibridged.transport.request import GatewayRequest
from aibridged.transport.time_slices import Turns
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_failure import FAILURES, refusal_of
from aibridged.transport.upstream_proxy import NotConnectedError, start_tls
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse

# Hop-by-hop, or answered on this hop.
_NOT_SENT_ON = frozenset({"content-length", "expect", "host"})


def over_tls(dialer: Dialer, context: ssl.SSLContext) -> Dial:
    """Connect as for CONNECT: through the upstream proxy, if there is one.

    The hosts are those of the providers, which the operator trusts.
    """

    async def dial(host: str, port: int, make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        try:
            destination = host_destination(host, port)
            transport, _ = await dialer.connect(destination, trusted=True)
        except (GatewayError, BadDestinationError) as error:
            if isinstance(error, GatewayError) and error.kind is AT_CAPACITY:
                raise
            what = DESTINATION_UNREACHABLE.sentence.rstrip(".")
            raise NotConnectedError(str(error).removeprefix(f"{what}: ").rstrip(".")) from None
        return await start_tls(transport, make, context, destination.host, CONNECT_S)

    return dial


class Forwarder:
    """Forwards requests through upstreams that `make` makes, one per base URL.

    A response may be silent for `idle_timeout` seconds, and the next part of a request's body may
    take `read_timeout`; both may be changed. The base URLs come from the configuration, which
    bounds their number.
    """

    def __init__(
        self,
        make: Callable[[str], Upstream],
        turns: Turns,
        idle_timeout: float,
        read_timeout: float,
    ) -> None:
        self.read_timeout = read_timeout
        self._make = make
        self._turns = turns
        self.idle_timeout = idle_timeout
        self._upstreams: dict[str, Upstream] = {}

    async def close(self) -> None:
        """Close all connections."""
        for upstream in self._upstreams.values():
            await upstream.close()

    async def forward(
        self, request: GatewayRequest, base_url: str, target: str, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Forward the request with these end-to-end headers, and relay the response to its end.

        `target` is the path below the base URL, with the query.

        Raises:
            GatewayError: there is no response.
            ConnectionError: the response broke off, or the client has disconnected.
        """
        answer = await self._ask(request, base_url, target, headers)
        try:
            return await relay(
                request, answer, (), self.idle_timeout, self._turns, dropped=OF_THIS_HOP
            )
        finally:
            answer.close()

    async def _ask(
        self, request: GatewayRequest, base_url: str, target: str, headers: CIMultiDict[str]
    ) -> UpstreamResponse:
        if (upstream := self._upstreams.get(base_url)) is None:
            upstream = self._upstreams[base_url] = self._make(base_url)
        body: bytes | StreamedBody = b""
        if request.body_exists:
            body = StreamedBody(arriving(request, self.read_timeout), request.content_length)
        try:
            return await upstream.ask(
                request.method, target, _sent_on(headers), body, self.idle_timeout
            )
        except FAILURES as error:
            raise refusal_of(
                error, str(urlsplit(base_url).hostname), upstream.shown_url()
            ) from None


def _sent_on(headers: CIMultiDict[str]) -> RawHeaders:
    return [
        (name.encode(), value.encode(errors="surrogateescape"))
        for name, value in headers.items()
        if name.lower() not in _NOT_SENT_ON
    ]
