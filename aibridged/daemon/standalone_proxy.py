"""`aibridged proxy`: the standalone AI Proxy, in front of a remote gateway."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import msgspec
from aiohttp import web
from loguru import logger

from aibridged import __version__
from aibridged.clock import Clock, SystemClock
from aibridged.config import report
from aibridged.config.options import Settings
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.daemon import status_socket
from aibridged.daemon.ai_proxy import AiProxyError, announce_proxy, load_ca, make_proxy
from aibridged.daemon.client_limits import fit, log_connection_limit
from aibridged.daemon.gatekeeper import make_gatekeeper
from aibridged.daemon.process_status import clients_status, process_status
from aibridged.daemon.runtime import on_stop_signals, run_process
from aibridged.daemon.status_report import Listening, Status
from aibridged.daemon.status_server import StatusServer
from aibridged.observe.descriptors import Shortages
from aibridged.providers import make_providers
from aibridged.transport.idle_pools import Pools
from aibridged.transport.listeners import CannotListenError
from aibridged.transport.request import GatewayRequest
from aibridged.transport.server import Limits, Server


class StandaloneProxy:
    """The running proxy. It keeps no records and knows no tokens: the gateway does."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._is_draining = False
        self.connection_limiter = ConnectionLimiter(self._clock)
        self._server: Server | None = None
        self._began = self._clock.monotonic()

    async def start(self) -> None:
        """Listen.

        Raises:
            AiProxyError: there is no CA or no target.
            CannotListenError: the address is in use or not local, or the certificate is invalid.
        """
        settings, clock = self._settings, self._clock
        if settings.proxy_target is None:
            raise AiProxyError(
                "A standalone AI Proxy requires --aibridge-proxy-target.",
                "Set it to the URL of the gateway, such as https://ai.example.com.",
            )
        authority = load_ca(settings, clock)
        limits = Limits(settings.http_read_timeout, settings.http_write_timeout)
        shortages = Shortages(clock)
        self.connection_limiter.on_full = shortages.no_place
        self._server = Server(
            _serve_nothing, limits=limits, connection_limiter=self.connection_limiter
        )
        _, gate = make_gatekeeper(settings, None, clock, self._stack)
        try:
            self.proxy = make_proxy(
                settings,
                clock,
                authority,
                gate,
                make_providers(settings.providers).values(),
                self._server,
                None,
                shortages,
                Pools(self.connection_limiter, shortages),
            )
            fit(self.connection_limiter, settings)
            self._stack.push_async_callback(self.proxy.close)
            await self.proxy.start()
            if settings.state_dir.is_dir():  # it needs none for anything else
                status = StatusServer(settings.state_dir, status_socket.PROXY, self._status)
                self._stack.push_async_callback(status.close)
                status.start()
        except (AiProxyError, CannotListenError):
            await self._stack.aclose()
            raise

    async def _status(self) -> bytes:
        return msgspec.json.encode(
            Status(
                version=__version__,
                pid=os.getpid(),
                state="shutting down" if self._is_draining else "serving",
                uptime_s=round(self._clock.monotonic() - self._began, 1),
                state_dir=str(self._settings.state_dir),
                listeners=[Listening("AI Proxy", self.proxy.url)],
                forwards_to=str(self._settings.proxy_target),
                clients=clients_status(self.connection_limiter),
                process=await process_status(),
            )
        )

    async def stop(self) -> None:
        """Stop accepting, let requests finish within the shutdown timeout, then abort them."""
        assert self._server is not None
        self.proxy.stop_accepting()
        self._is_draining = True
        self._server.drain()
        try:
            async with asyncio.timeout(self._settings.shutdown_timeout):
                await self._server.empty()
        except TimeoutError:
            logger.warning("The shutdown cut off running requests")
        self._server.abort()
        await self._stack.aclose()


def run(settings: Settings, warnings: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    return run_process(settings, warnings, partial(_serve, settings))


async def _serve(settings: Settings) -> int:
    stopping = on_stop_signals()
    alone = StandaloneProxy(settings)
    try:
        await alone.start()
    except (AiProxyError, CannotListenError) as error:
        logger.error("{}", error)
        return 1
    logger.info("aibridged {} forwards to the gateway at {}", __version__, settings.proxy_target)
    for way in report.ways(replace(settings, providers=(), mcp_servers=(), telemetry=())):
        logger.info("Outgoing requests go {}", way)
    log_connection_limit(alone.connection_limiter)
    announce_proxy(alone.proxy)
    await stopping.wait()
    logger.info("Shutting down: draining requests for up to {:g} s", settings.shutdown_timeout)
    await alone.stop()
    return 0


async def _serve_nothing(request: GatewayRequest) -> web.StreamResponse:
    """Never called: this server has no listener of its own."""
    return web.Response(status=404)
