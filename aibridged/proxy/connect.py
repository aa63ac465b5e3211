"""CONNECT handling: an intercepted connection (MITM), a tunnel, or a refusal."""

import asyncio
import secrets
import ssl
from collections.abc import Callable
from functools import partial

from aiohttp.http import RawRequestMessage
from loguru import logger

from aibridged.config.options import Settings
from aibridged.core.auth import MalformedCredentialsError
from aibridged.core.client_ip import client_ip, rate_limit_key
from aibridged.core.egress import BadDestinationError, Destination, read_destination
from aibridged.core.proxy_auth import CHALLENGE, read_proxy_token
from aibridged.core.targets import CERTIFICATE_PATH, CERTIFICATE_TYPE, PREFIXES
from aibridged.errors import (
    AT_CAPACITY,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PROXY_UNAUTHENTICATED,
    ROUTE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.gateway_tokens import holds_token
from aibridged.identity.base import Actor
from aibridged.identity.remote import CALLER_IP
from aibridged.identity.throttle import Throttle, TokenRefusedError
from aibridged.observe.metrics import Metrics
from aibridged.proxy.authority import AuthorityError
from aibridged.proxy.client import Client
from aibridged.proxy.dial import Dialer
from aibridged.proxy.hosts import Hosts
from aibridged.proxy.leaf_certificates import Leaves
from aibridged.proxy.mitm import Intercepted, Session
from aibridged.proxy.tunnel import Tunnel
from aibridged.proxy.tunnel_quota import Places
from aibridged.transport.handoff import Parked
from aibridged.transport.request import Handler

IDLE_S = 15 * 60.0
HALF_CLOSED_S = 60.0

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

MakeConnection = Callable[[Handler], asyncio.Protocol]
"""Makes the protocol that reads decrypted requests and passes them to a handler."""


class Connects:
    """Serves every request to the proxy's own listener; `tunnels` are the open ones."""

    def __init__(
        self,
        settings: Settings,
        gate: Throttle,
        hosts: Hosts,
        leaves: Leaves,
        places: Places,
        dialer: Dialer,
        intercepted: Intercepted,
        make_connection: MakeConnection,
        metrics: Metrics | None,
        certificate: bytes,
    ) -> None:
        self.hosts = hosts
        self.tunnels: set[Tunnel] = set()
        self._settings = settings
        self._gate = gate
        self._leaves = leaves
        self._places = places
        self._dialer = dialer
        self._intercepted = intercepted
        self._make_connection = make_connection
        self._metrics = metrics
        self._certificate = certificate

    def reconfigure(self, settings: Settings, hosts: Hosts) -> None:
        """Apply new settings to new connections."""
        self._settings, self.hosts = settings, hosts
        self._intercepted.reconfigure(settings, hosts)

    async def serve(self, client: Client, message: RawRequestMessage) -> None:
        """Serve or refuse a request."""
        try:
            if client.is_surplus:
                raise GatewayError(AT_CAPACITY, retry_after=1)
            if message.method == "CONNECT":
                await self._connect(client, message)
            else:
                self._answer(client, message)
        except GatewayError as error:
            if isinstance(error, TokenRefusedError):
                error.log("CONNECT")
            if error.kind.status == PROXY_UNAUTHENTICATED.status:
                client.refuse(error, Proxy_Authenticate=CHALLENGE)
            else:
                client.refuse(error)

    def _answer(self, client: Client, message: RawRequestMessage) -> None:
        if message.method == "GET" and message.path in _CERTIFICATE_TARGETS:
            client.answer(200, {"Content-Type": CERTIFICATE_TYPE}, self._certificate)
            return
        if message.path.startswith("/"):
            raise GatewayError(
                ROUTE_NOT_SUPPORTED,
                "This is a proxy, not the gateway: set HTTPS_PROXY to this address.",
            )
        raise GatewayError(
            INVALID_REQUEST,
            "The AI Proxy only supports CONNECT: use https:// URLs, and set HTTPS_PROXY, not "
            "HTTP_PROXY, to its address.",
        )

    async def _connect(self, client: Client, message: RawRequestMessage) -> None:
        if holds_token(message.path):  # it would be resolved as a name, and logged
            raise GatewayError(
                INVALID_REQUEST,
                "CONNECT takes a host and a port, and no gateway token in place of them.",
            )
        ip = self._ip(client, message)
        CALLER_IP.set(ip)
        try:
            token = read_proxy_token(message.headers)
        except MalformedCredentialsError as error:
            raise GatewayError(PROXY_UNAUTHENTICATED, str(error)) from None
        actor = await self._gate.actor(token, lambda: rate_limit_key(ip), PROXY_UNAUTHENTICATED)
        try:
            destination = read_destination(message.path)
        except BadDestinationError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        log = logger.bind(connection=(name := secrets.token_hex(4)), username=actor.username)
        if endpoints := self.hosts.find(destination):
            log.info("CONNECT {}: intercepted", destination)
            provider = endpoints[0].provider.name
            await self._intercept(client, Session(name, destination, provider, token, ip))
            return
        try:
            await self._tunnel(client, destination, actor, token)
        except GatewayError as error:
            log.info("CONNECT {}: {}", destination, error.kind.code)
            raise
        log.info("CONNECT {}: tunneled", destination)

    def _ip(self, client: Client, message: RawRequestMessage) -> str | None:
        settings = self._settings
        return client_ip(
            client.peer,
            message.headers,
            settings.proxy_trusted_headers,
            settings.proxy_trusted_origins,
        )

    async def _tunnel(
        self, client: Client, destination: Destination, actor: Actor, token: str | None
    ) -> None:
        give_back = self._places.take(actor.id)
        try:
            server, parked = await self._dialer.connect(destination)
        except BaseException:
            give_back()
            raise
        if client.transport is None:
            give_back()
            server.abort()
            return

        def end() -> None:
            self.tunnels.discard(tunnel)
            self._gate.active_requests.remove(tunnel)
            give_back()

        self._count("tunneled")
        ours = client.give_away()
        tunnel = Tunnel(idle=IDLE_S, half_closed=HALF_CLOSED_S, on_end=end)
        self.tunnels.add(tunnel)
        self._gate.active_requests.add(actor, token, tunnel)
        ours.set_protocol(tunnel.client)
        tunnel.client.connection_made(ours)
        ours.write(_ESTABLISHED)
        parked.hand_over(server, tunnel.server)
        if not ours.is_closing():
            ours.resume_reading()

    async def _intercept(self, client: Client, session: Session) -> None:
        try:
            context = self._leaves.context(session.destination.host)
        except AuthorityError as error:
            logger.error("{}", error)
            raise GatewayError(INTERNAL_ERROR) from None
        if client.transport is None:
            return
        self._count("mitm")
        transport, parked = client.give_away(), Parked()
        transport.write(_ESTABLISHED)
        loop = asyncio.get_running_loop()
        try:
            tls = await loop.start_tls(
                transport,
                parked,
                context,
                server_side=True,
                ssl_handshake_timeout=self._settings.http_read_timeout,
            )
        except (OSError, ssl.SSLError) as error:
            logger.info(
                "A client aborted the TLS handshake for {}: {}. Does it trust the CA?",
                session.destination,
                _reason(error),
            )
            transport.abort()
            return
        assert tls is not None
        handler = partial(self._intercepted.handle, session)
        parked.hand_over(tls, self._make_connection(handler))

    def _count(self, kind: str) -> None:
        if self._metrics is not None:
            self._metrics.connect_session(kind)


_CERTIFICATE_TARGETS = frozenset(f"{prefix}{CERTIFICATE_PATH}" for prefix in PREFIXES)


def _reason(error: Exception) -> str:
    """OpenSSL's reason, such as TLSV1_ALERT_UNKNOWN_CA."""
    return getattr(error, "reason", None) or type(error).__name__
