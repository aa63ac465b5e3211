"""The AI Proxy's server: its components, its listener, and its shutdown."""

import socket
import ssl
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from aiohttp import web
from multidict import CIMultiDict

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.client_ip import PROXIED_FOR
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.egress import Destination, Egress
from aibridged.core.targets import PREFIXES
from aibridged.identity.throttle import Throttle
from aibridged.observe.descriptors import Shortages
from aibridged.observe.metrics import Metrics
from aibridged.providers import Provider
from aibridged.proxy.authority import Authority
from aibridged.proxy.client import Client
from aibridged.proxy.connect import Connects, MakeConnection
from aibridged.proxy.dial import CONNECT_S, Dialer, UpstreamFor
from aibridged.proxy.forwarding import Forwarder, over_tls
from aibridged.proxy.hosts import Hosts
from aibridged.proxy.leaf_certificates import Leaves
from aibridged.proxy.mitm import HandOver, Intercepted
from aibridged.proxy.tunnel_quota import Places, most_tunnels
from aibridged.transport.idle_pools import Dial, Pools
from aibridged.transport.listeners import Listener, proxy_listener
from aibridged.transport.request import GatewayRequest
from aibridged.transport.time_slices import Turns
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_proxy import UpstreamProxies, UpstreamProxy, client_tls

# A gateway that trusts the proxy's address must not trust these headers of the proxy's callers.
_NOT_BELIEVED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


class ProxyError(Exception):
    """The AI Proxy can't start; the message says why and how to fix it."""


class Proxy:
    """The AI Proxy.

    `hand_over` serves requests that are the gateway's, `make_connection` reads decrypted
    requests.

    Without `hand_over`, requests go to the gateway at `--aibridge-proxy-target`.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        authority: Authority,
        gate: Throttle,
        providers: Iterable[Provider],
        make_connection: MakeConnection,
        metrics: Metrics | None,
        hand_over: HandOver | None,
        limiter: ConnectionLimiter,
        shortages: Shortages,
        pools: Pools,
    ) -> None:
        """Raises ProxyError: the upstream proxy's CA file can't be read."""
        self._settings = settings
        self._limiter = limiter
        self._shortages = shortages
        tls = client_tls()
        self._dialer = dialer = Dialer(
            Egress(settings.proxy_allowed_private_cidrs), _upstream(settings, tls)
        )
        idle, read = settings.upstream_idle_timeout, settings.http_read_timeout
        turns = Turns(clock)

        def forwarder(dial: Dial | None, proxy: UpstreamProxy | None = None) -> Forwarder:
            make = partial(Upstream, connect_timeout=CONNECT_S, pools=pools, dial=dial, proxy=proxy)
            return Forwarder(make, turns, idle, read)

        onward = forwarder(over_tls(dialer, tls))
        self._forwarders = [onward]
        if hand_over is None:
            target = settings.proxy_target
            assert target is not None  # a standalone AI Proxy requires it
            way = settings.outbound.for_url(target)
            gateway = forwarder(None, UpstreamProxies(tls).of(way, CONNECT_S))
            self._forwarders.append(gateway)
            hand_over = _to(target, gateway)
        hosts = Hosts(providers)
        self._connects = Connects(
            settings,
            gate,
            hosts,
            Leaves(authority, clock),
            Places(most_tunnels()),
            dialer,
            Intercepted(settings, hosts, hand_over, onward, gate, metrics),
            make_connection,
            metrics,
            authority.certificate_pem,
        )
        self._clients: set[Client] = set()
        self.listener: Listener | None = None
        self.url = ""
        """Its addresses, once started, with the port that the system chose for port 0."""

    @property
    def hosts(self) -> Hosts:
        """The intercepted hosts."""
        return self._connects.hosts

    def reconfigure(self, settings: Settings, providers: Iterable[Provider]) -> None:
        """Apply settings that need no restart; intercept the hosts of these providers."""
        self._settings = settings
        self._connects.reconfigure(settings, Hosts(providers))
        for forwarder in self._forwarders:
            forwarder.idle_timeout = settings.upstream_idle_timeout
            forwarder.read_timeout = settings.http_read_timeout
        if self.listener is not None:
            self.listener.set_handshake_timeout(settings.http_read_timeout)

    async def start(self, passed: Sequence[socket.socket] = ()) -> None:
        """Listen, on the passed sockets or else on the settings' address.

        Raises:
            CannotListenError: an address or the certificate can't be used.
        """
        settings = self._settings
        self.listener = proxy_listener(settings, passed)
        refused, within = self._shortages.system_refused, settings.http_read_timeout
        await self.listener.open(self._accept, self._limiter, refused, within)
        self.url = self.listener.client_url

    def stop_accepting(self) -> None:
        """Stop accepting connections; open ones go on."""
        if self.listener is not None:
            self.listener.close()

    async def close(self) -> None:
        """End tunnels, and connections without a request yet. Requests are the gateway's to end."""
        self.stop_accepting()
        for client in list(self._clients):
            client.abort()
        for tunnel in list(self._connects.tunnels):
            tunnel.abort()
        for forwarder in self._forwarders:
            await forwarder.close()
        self._dialer.close()

    def _accept(self, is_surplus: bool) -> Client:
        client = Client(
            self._connects.serve,
            self._clients.discard,
            is_surplus=is_surplus,
            head_timeout=self._settings.http_read_timeout,
            limiter=self._limiter,
        )
        self._clients.add(client)
        return client


def _upstream(settings: Settings, tls: ssl.SSLContext) -> UpstreamFor:
    """The tunnels' own upstream proxy for all of them, else that for all outgoing requests."""
    own, more = settings.proxy_upstream, settings.proxy_upstream_ca
    if own is not None:
        proxy = UpstreamProxy(own, tls if more is None else _own_tls(more), tls, CONNECT_S)
        return lambda _: proxy
    proxies, outbound = UpstreamProxies(tls), settings.outbound

    def upstream_for(destination: Destination) -> UpstreamProxy | None:
        return proxies.of(outbound.for_url(f"https://{destination}"), CONNECT_S)

    return upstream_for


def _own_tls(more: Path) -> ssl.SSLContext:
    try:
        return client_tls(more)
    except (OSError, ssl.SSLError):
        raise ProxyError(f"--aibridge-proxy-upstream-ca contains no certificate: {more}.") from None


def _to(base: str, forwarder: Forwarder) -> HandOver:
    """Passes requests to the gateway at this URL, below the prefix that every gateway has."""

    async def hand_over(
        request: GatewayRequest,
        target: str,
        headers: CIMultiDict[str],
        request_id: str,
        caller_ip: str | None,
    ) -> web.StreamResponse:
        headers["X-Request-Id"] = request_id
        for name in _NOT_BELIEVED:
            headers.popall(name, None)
        if caller_ip is not None:
            headers[PROXIED_FOR] = caller_ip
        return await forwarder.forward(request, f"{base}{PREFIXES[0]}", target, headers)

    return hand_over
