"""Composition of the AI Proxy, in the daemon and standalone; loads its library lazily."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web
from loguru import logger
from multidict import CIMultiDict

from aibridged.clock import Clock
from aibridged.config import extras
from aibridged.config.options import Settings
from aibridged.config.resolution import StartError
from aibridged.identity.throttle import Throttle
from aibridged.observe.descriptors import Shortages
from aibridged.observe.metrics import Metrics
from aibridged.providers import Provider
from aibridged.transport.idle_pools import Pools
from aibridged.transport.request import GatewayRequest
from aibridged.transport.server import Server

if TYPE_CHECKING:
    from aibridged.proxy.authority import Authority
    from aibridged.proxy.proxy_server import Proxy

_EXPIRES_SOON = timedelta(days=30)


class AiProxyError(StartError):
    """The AI Proxy can't be made; the message says why and how to fix it."""


def check_target(settings: Settings) -> None:
    """Check that the daemon's AI Proxy hands its requests to no other gateway.

    Raises:
        AiProxyError: it would.
    """
    if settings.proxy_target is not None:
        raise AiProxyError(
            "--aibridge-proxy-target is only for the standalone AI Proxy (aibridged proxy).",
            "Remove it: in the daemon, requests go to its own gateway.",
        )


def load_ca(settings: Settings, clock: Clock) -> "Authority":
    """`read_ca`, with a warning in the log if it expires soon."""
    authority = read_ca(settings, clock)
    if (warning := expiry_warning(authority, clock)) is not None:
        logger.warning("{}", warning)
    return authority


def read_ca(settings: Settings, clock: Clock) -> "Authority":
    """Read the CA that clients trust.

    Raises:
        AiProxyError: it is missing or invalid, or its library isn't installed.
    """
    try:
        from aibridged.proxy.authority import AuthorityError, load_authority
    except ImportError:
        missing = extras.sentences("proxy", "The AI Proxy can't be started")
        raise AiProxyError(missing or "The AI Proxy's libraries can't be loaded.") from None
    cert_file, key_file = settings.proxy_cert_file, settings.proxy_key_file
    if cert_file is None or key_file is None:
        raise AiProxyError(
            "The AI Proxy requires --aibridge-proxy-cert-file and --aibridge-proxy-key-file.",
            "Create them with `aibridged proxy init-ca`.",
        )
    try:
        return load_authority(cert_file, key_file, clock.wall())
    except AuthorityError as error:
        remedy = error.remedy or "Create a new one with `aibridged proxy init-ca`."
        raise AiProxyError(error.what, remedy) from None


def expiry_warning(authority: "Authority", clock: Clock) -> str | None:
    """The warning about a CA that expires soon."""
    if authority.not_after - clock.wall() >= _EXPIRES_SOON:
        return None
    return (
        f"The AI Proxy's CA certificate expires on {authority.not_after:%Y-%m-%d}: create a new "
        "one and have clients trust it before then."
    )


def make_proxy(
    settings: Settings,
    clock: Clock,
    authority: "Authority",
    gate: Throttle,
    providers: Iterable[Provider],
    server: Server,
    metrics: Metrics | None,
    shortages: Shortages,
    pools: Pools,
) -> "Proxy":
    """A proxy whose intercepted connections belong to `server`.

    Their requests are handled like all of the server's, or go to the gateway at
    `--aibridge-proxy-target`.

    Raises:
        AiProxyError: the upstream proxy's CA file can't be read.
    """
    from aibridged.proxy.proxy_server import Proxy, ProxyError

    async def hand_over(
        request: GatewayRequest,
        target: str,
        headers: CIMultiDict[str],
        request_id: str,
        caller_ip: str | None,
    ) -> web.StreamResponse:
        return await server.handler(request.readdressed(target, headers, request_id, caller_ip))

    try:
        return Proxy(
            settings,
            clock,
            authority,
            gate,
            providers,
            server.connection_for,
            metrics,
            hand_over if settings.proxy_target is None else None,
            server.connection_limiter,
            shortages,
            pools,
        )
    except ProxyError as error:
        raise AiProxyError(str(error)) from None


def announce_proxy(proxy: "Proxy") -> None:
    """Log its addresses and the intercepted hosts."""
    logger.info(
        "The AI Proxy listens on {}, and intercepts (MITM) {}", proxy.url, ", ".join(proxy.hosts)
    )
