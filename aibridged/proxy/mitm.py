"""Requests of an intercepted (MITM) connection, passed to the gateway's pipeline.

What the gateway serves goes into its pipeline, which authenticates, limits and records it. All
other requests are forwarded to their host unchanged, with the caller's own credentials: logins,
update checks, and whatever else a vendor's client does.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web
from loguru import logger
from multidict import CIMultiDict

from aibridged.config.options import Settings
from aibridged.core.auth import API_KEY, AUTHORIZATION, TOKEN_HEADERS, carries
from aibridged.core.client_ip import rate_limit_key
from aibridged.core.egress import HTTPS_PORT, BadDestinationError, Destination, read_destination
from aibridged.core.headers import end_to_end, is_gateways_own, is_hop_by_hop, selection
from aibridged.core.origins import is_of_another_origin
from aibridged.core.targets import BadTargetError, plain_target
from aibridged.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MISDIRECTED_REQUEST,
    ORIGIN_REFUSED,
    UPGRADE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.identity.remote import CALLER_IP
from aibridged.identity.throttle import Throttle, TokenRefusedError
from aibridged.observe.metrics import Metrics
from aibridged.observe.scope import SCOPE, Scope
from aibridged.proxy.forwarding import Forwarder
from aibridged.proxy.hosts import Hosts, gateway_path
from aibridged.transport.abort import break_off
from aibridged.transport.refusal import refusal
from aibridged.transport.request import GatewayRequest

# Without authentication, the header still says that Authorization is the caller's own.
_NO_TOKEN = "none"

HandOver = Callable[
    [GatewayRequest, str, CIMultiDict[str], str, str | None], Awaitable[web.StreamResponse]
]
"""Has the gateway serve a request, with another target, headers, id and client IP address."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a CONNECT has opened: `ip` is the caller's address.

    `id` is the prefix of its requests' ids, in the log of the proxy and of the gateway; `provider`
    is the name that they are counted under.
    """

    id: str
    destination: Destination
    provider: str
    token: str | None = field(repr=False)
    ip: str | None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)


class _Forwarded:
    """A request that is forwarded to its host."""

    def __init__(self, request: GatewayRequest) -> None:
        self.abort = partial(break_off, request)


class Intercepted:
    """Serves the requests of all intercepted connections."""

    def __init__(
        self,
        settings: Settings,
        hosts: Hosts,
        hand_over: HandOver,
        forwarder: Forwarder,
        gate: Throttle,
        metrics: Metrics | None,
    ) -> None:
        self._hand_over = hand_over
        self._forwarder = forwarder
        self._gate = gate
        self._metrics = metrics
        self.reconfigure(settings, hosts)

    def reconfigure(self, settings: Settings, hosts: Hosts) -> None:
        """Apply new settings to new requests, on open connections as well."""
        self._hosts = hosts
        # Headers that only a reverse proxy in front may set, and none is inside this TLS.
        self._not_believed = frozenset(name.lower() for name in settings.proxy_trusted_headers)

    async def handle(self, session: Session, request: GatewayRequest) -> web.StreamResponse:
        """Serve one request."""
        CALLER_IP.set(session.ip)
        provider = session.provider
        scope = Scope(f"{session.id}-{next(session.numbers)}")
        SCOPE.set(scope)
        if self._metrics is not None:
            self._metrics.proxied_request_began(provider)
        status = 0
        try:
            response = await self._answer(session, request, scope.request_id)
            status = response.status
            return response
        finally:
            if self._metrics is not None:
                self._metrics.proxied_request_ended(provider, status)
            scope.leave()

    async def _answer(
        self, session: Session, request: GatewayRequest, request_id: str
    ) -> web.StreamResponse:
        try:
            return await self._serve(session, request, request_id)
        except GatewayError as error:
            if isinstance(error, TokenRefusedError):
                error.log(f"A request to {session.destination}")
            response = refusal(error)
            if error.kind is MISDIRECTED_REQUEST:
                response.force_close()  # the next one belongs on another connection
            return response
        except ConnectionError:
            raise  # the client has disconnected
        except Exception as error:  # noqa: BLE001 - a bug must not become aiohttp's page
            logger.error("A request to {} failed: {}", session.destination, type(error).__name__)
            return refusal(GatewayError(INTERNAL_ERROR))

    async def _serve(
        self, session: Session, request: GatewayRequest, request_id: str
    ) -> web.StreamResponse:
        if request.method == "CONNECT":
            raise GatewayError(INVALID_REQUEST, "CONNECT inside a CONNECT tunnel is not supported.")
        endpoints = self._hosts.find(session.destination)
        if not endpoints:
            raise GatewayError(
                MISDIRECTED_REQUEST, "This host no longer belongs to a provider: reconnect."
            )
        _check_host(request, session.destination)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            raise GatewayError(UPGRADE_NOT_SUPPORTED)
        target = request.target
        try:
            path, query = plain_target(target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        found = gateway_path(endpoints, request.method, path)
        headers = self._headers(session, request, to_gateway=found is not None)
        if found is not None:
            _refuse_web_pages(headers, request)
            gateway_target = f"{found}?{query}" if query else found
            return await self._hand_over(request, gateway_target, headers, request_id, session.ip)
        actor = await self._gate.actor(session.token, lambda: rate_limit_key(session.ip))
        running = _Forwarded(request)
        self._gate.active_requests.add(actor, session.token, running)
        try:
            response = await self._forwarder.forward(
                request, f"https://{session.destination}", target, headers
            )
        finally:
            self._gate.active_requests.remove(running)
        # Not the path: it isn't ours, and may contain anything.
        logger.info(
            "{} a path of {}'s own: {}", request.method, session.destination, response.status
        )
        return response

    def _headers(
        self, session: Session, request: GatewayRequest, *, to_gateway: bool
    ) -> CIMultiDict[str]:
        """The client's headers, without those that would identify it to the gateway."""
        token = session.token
        sent = list(request.headers.items())
        kept = end_to_end(sent, selection([name for name, _ in sent], self._passes))
        headers = CIMultiDict(
            (name, value) for name, value in kept if token is None or not carries(value, token)
        )
        if to_gateway:
            headers[TOKEN_HEADERS[0]] = token or _NO_TOKEN
        return headers

    def _passes(self, name: str) -> bool:
        return not (
            is_hop_by_hop(name) or is_gateways_own(name) or name.lower() in self._not_believed
        )


def _refuse_web_pages(headers: CIMultiDict[str], request: GatewayRequest) -> None:
    """Refuse cross-origin requests from browsers, unless they have a key of their own.

    The browser sends the token to its proxy by itself, whatever page makes the request.
    """
    own_key = AUTHORIZATION in headers or API_KEY in headers
    if not own_key and is_of_another_origin(request.headers):
        raise GatewayError(
            ORIGIN_REFUSED,
            "The organisation's key can't be used by web pages of another origin: send your "
            "own key, or use a program instead of a browser.",
        )


def _check_host(request: GatewayRequest, destination: Destination) -> None:
    """Refuse a request for another host than the client's CONNECT named."""
    values = request.headers.getall("Host", ())
    if len(values) != 1:
        raise GatewayError(INVALID_REQUEST, "The request must have exactly one Host header.")
    host = values[0] if values[0].rpartition("]")[2].count(":") else f"{values[0]}:{HTTPS_PORT}"
    try:
        named = read_destination(host)
    except BadDestinationError:
        raise GatewayError(MISDIRECTED_REQUEST) from None
    if (named.host, named.port) != (destination.host, destination.port):
        raise GatewayError(MISDIRECTED_REQUEST)
