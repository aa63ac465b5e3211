"""The gateway as a whole: startup, reload, graceful shutdown (drain)."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from loguru import logger

from aibridged.api.operations import Providers, SettingsInForce, routes
from aibridged.api.routes import Route
from aibridged.clock import Clock, SystemClock
from aibridged.config.options import Settings
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.targets import WEB_PAGE
from aibridged.counted import counted
from aibridged.daemon import systemd, web_page
from aibridged.daemon.ai_proxy import AiProxyError, check_target, make_proxy
from aibridged.daemon.client_limits import fit
from aibridged.daemon.compose import Composition, compose
from aibridged.daemon.loaded import Loaded
from aibridged.daemon.merged import Merged, providers_of_all
from aibridged.daemon.operations import providers_status, settings_in_force
from aibridged.daemon.status import daemon_status
from aibridged.daemon.status_report import Listening, Status
from aibridged.daemon.status_service import StatusService
from aibridged.daemon.systemd import PassedSockets
from aibridged.daemon.workers.siblings import Siblings
from aibridged.identity.credential_key import CredentialKeyError
from aibridged.identity.tables import StoreUnavailableError
from aibridged.identity.tokens import TokenStore
from aibridged.observe.metric import Names
from aibridged.observe.otlp import TracingError
from aibridged.pipeline import Components, build, build_web_page
from aibridged.records.database import DatabaseError
from aibridged.records.spool import SpoolError
from aibridged.records.store import DatabaseAwayError
from aibridged.transport.listeners import (
    CannotListenError,
    Listener,
    gateway_listener,
    metrics_listener,
    page_listener,
)
from aibridged.transport.server import Limits, Server

if TYPE_CHECKING:
    from aibridged.proxy.proxy_server import Proxy

# Deadline for cancelled requests to end.
_CANCEL_S = 5.0
# Further scrapes wait for a place.
_METRICS_PLACES = 8
_PAGE_PLACES = 256
"""Connections of the web page's own listener. Browsers keep some open, and live pages one each."""


class CannotStartError(Exception):
    """The daemon can't start; the message says why and how to fix it."""


class Gateway:
    """The running daemon: a listener in front of the pipeline.

    `passed` are the sockets that were passed to the process, by name; a listener removes those that
    it uses. Those named `http` replace the settings' address. `siblings` are the other processes of
    the same daemon.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        passed: PassedSockets | None = None,
        siblings: Siblings | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._siblings = siblings or Siblings()
        self.status_service = StatusService(self._own_status, self._siblings)
        self._stack = AsyncExitStack()
        passed = {} if passed is None else passed
        self._listener = gateway_listener(settings, passed.pop(systemd.HTTP, ()))
        self._metrics = (
            metrics_listener(settings, passed.pop(systemd.METRICS, ()))
            if settings.prometheus_enable
            else None
        )
        self._page: Listener | None = None
        if settings.ui_address is not None and web_page.has_own_listener(settings):
            self._page = page_listener(settings.ui_address, settings, passed.pop(systemd.UI, ()))
        self.unused_sockets = passed
        """Those that were passed for what is disabled."""
        self._began = self._clock.monotonic()
        self._composition: Composition | None = None
        self._server: Server | None = None
        self._metrics_server: Server | None = None
        self._page_server: Server | None = None
        self.loaded = Loaded()
        """The settings in force with their sources, to be noted at the start and by reloads."""
        self.proxy: Proxy | None = None
        """The AI Proxy, if it is enabled."""

    @property
    def url(self) -> str:
        """The gateway's URL for clients, with the port that the system chose for port 0."""
        return self._listener.client_url

    @property
    def urls(self) -> Sequence[str]:
        """All its URLs."""
        return self._listener.urls

    @property
    def workers(self) -> int:
        """How many processes serve together, this one included."""
        return self._siblings.count

    @property
    def is_activated(self) -> bool:
        """Whether it listens on passed sockets."""
        return self._listener.outlive

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self._settings

    @property
    def components(self) -> Components:
        """The components of the current configuration."""
        assert self._composition is not None
        return self._composition.components

    async def start(self) -> None:
        """Make the components, and listen.

        Raises:
            CannotStartError: records can't be kept, the address is in use or not local, the
                certificate is invalid, traces can't be exported, or the key of the identity
                provider's grants is lost.
        """
        settings = self._settings
        try:
            is_local = (self._page or self._listener).is_local_only
            with_page = web_page.is_wanted(settings, is_local=is_local)
            self._composition = await compose(
                settings,
                self._clock,
                self._stack,
                self._services,
                self._siblings,
                with_page=with_page,
            )
            if self._metrics is not None:
                await self._open_metrics(self._metrics, self._composition)
            if self._page is not None:
                await self._open_page(self._page, self._composition)
            resources = self._composition.resources
            handler = build(self._composition.components)
            self._server = Server(
                handler, limits=_limits(settings), connection_limiter=resources.connection_limiter
            )
            if resources.authority is not None:
                await self._open_proxy(self._server, self._composition)
            fit(resources.connection_limiter, settings)
            await self._listener.open(
                self._server,
                resources.connection_limiter,
                resources.shortages.system_refused,
                settings.http_read_timeout,
            )
            self.status_service.serve(settings.state_dir, self._stack)
            if not with_page and settings.ui_enabled == "auto":
                logger.info(
                    "The web page is off, as others than this machine can connect:"
                    " --aibridge-ui-enabled true switches it on"
                )
        except (
            DatabaseError,
            DatabaseAwayError,
            SpoolError,
            CannotListenError,
            TracingError,
            AiProxyError,
            CredentialKeyError,
            StoreUnavailableError,
        ) as error:
            await self._stack.aclose()
            raise CannotStartError(str(error)) from None
        except OSError as error:
            await self._stack.aclose()
            raise CannotStartError(f"The state directory is unusable: {error}.") from None

    async def _open_page(self, listener: Listener, composition: Composition) -> None:
        """Serve the web page where nothing else is: its visitors take no client's place."""
        connection_limiter = ConnectionLimiter(self._clock, _PAGE_PLACES)
        self._page_server = server = Server(
            build_web_page(composition.of_web_page),
            limits=_limits(self._settings),
            connection_limiter=connection_limiter,
        )
        self._stack.callback(server.abort)
        self._stack.callback(listener.close)
        await listener.open(
            server,
            connection_limiter,
            composition.resources.shortages.system_refused,
            self._settings.http_read_timeout,
        )

    async def _open_metrics(self, listener: Listener, composition: Composition) -> None:
        # It imports Prometheus's client, which nothing else needs.
        from aibridged.daemon import metrics_endpoint as scrape

        metrics = composition.group_metrics
        assert metrics is not None
        self._stack.callback(metrics.tell_last)
        scrapes = scrape.handler(
            metrics,
            Names(self._settings.prometheus_names),
            local_only=listener.is_local_only,
        )
        # Its own places: scrapes take none of the gateway's clients'.
        connection_limiter = ConnectionLimiter(self._clock, _METRICS_PLACES)
        self._metrics_server = server = Server(
            scrapes, limits=_limits(self._settings), connection_limiter=connection_limiter
        )
        self._stack.callback(server.abort)
        self._stack.callback(listener.close)
        await listener.open(
            server, connection_limiter, composition.resources.shortages.system_refused
        )

    async def _open_proxy(self, server: Server, composition: Composition) -> None:
        resources, settings = composition.resources, self._settings
        assert resources.authority is not None
        check_target(settings)
        self.proxy = proxy = make_proxy(
            settings,
            self._clock,
            resources.authority,
            resources.gate,
            composition.components.providers.values(),
            server,
            resources.metrics,
            resources.shortages,
            resources.pools,
        )
        self._stack.push_async_callback(proxy.close)
        await proxy.start(self.unused_sockets.pop(systemd.PROXY, ()))

    @property
    def metrics_urls(self) -> Sequence[str]:
        """The URLs of the metrics, if they are enabled."""
        return [f"{url}/metrics" for url in self._metrics.urls] if self._metrics is not None else ()

    @property
    def page_urls(self) -> Sequence[str]:
        """The URLs of the web page, if it is served; first the one that people are told."""
        if self._composition is None or not self._composition.resources.ui:
            return ()
        listener, base = self._page or self._listener, self._settings.access_url
        own = (
            [] if listener.client_url.startswith("unix:") else [f"{listener.client_url}{WEB_PAGE}/"]
        )
        return own if base is None else [f"{base.rstrip('/')}{WEB_PAGE}/", *own]

    @property
    def records(self) -> str:
        """The location of the record."""
        assert self._composition is not None
        return self._composition.resources.records

    @property
    def lost_records(self) -> int:
        """How many records the stop has lost: nothing would take them any more."""
        assert self._composition is not None
        return self._composition.resources.recorder.stats.lost_at_end

    @property
    def tokens(self) -> TokenStore | None:
        """The store of users and tokens, if this daemon has one."""
        return None if self._composition is None else self._composition.resources.tokens

    def status(self) -> str:
        """Status in one line for the operator."""
        in_flight = self.components.in_flight
        doing = "shutting down" if in_flight.draining else "serving"
        names = ", ".join(each.name for each in self._settings.providers) or "none"
        return f"{doing}; requests in flight: {in_flight.count}; providers: {names}"

    def _services(self, composition: Composition) -> Sequence[Route]:
        async def own() -> Providers:
            resources = composition.resources
            return await providers_status(
                composition.components, resources.provider_health, resources.clock
            )

        health = Merged(self._siblings, "health of providers", own, Providers, providers_of_all)

        def in_force() -> SettingsInForce:
            return settings_in_force(self.loaded, self._settings)

        return routes(self.status_service.read, Status, health, in_force)

    async def _own_status(self) -> Status:
        assert self._composition is not None
        ways = [
            ("gateway", self.urls),
            ("web page", self.page_urls),
            ("metrics", self.metrics_urls),
        ]
        if self.proxy is not None:
            ways.append(("AI Proxy", (self.proxy.url,)))
        listeners = [Listening(what, url) for what, urls in ways for url in urls]
        uptime = self._clock.monotonic() - self._began
        return await daemon_status(self._composition, listeners, uptime)

    def reconfigure(self, settings: Settings) -> None:
        """Apply new settings, none of which needs a restart.

        Requests in flight finish as they began; no connection is closed.

        Raises:
            CannotListenError: the reloaded certificate is invalid; nothing changes.
        """
        assert self._composition is not None
        assert self._server is not None
        listeners = [self._listener, *([self._page] if self._page is not None else [])]
        if self.proxy is not None and self.proxy.listener is not None:
            listeners.append(self.proxy.listener)
        for listener in listeners:
            listener.check_certificate()
        for listener in listeners:
            listener.renew_certificate()
        self._listener.set_handshake_timeout(settings.http_read_timeout)
        self._settings = settings
        self._server.handler = build(self._composition.reconfigure(settings))
        if self._page is not None and self._page_server is not None:
            self._page.set_handshake_timeout(settings.http_read_timeout)
            self._page_server.handler = build_web_page(self._composition.of_web_page)
        for server in (self._server, self._metrics_server, self._page_server):
            if server is not None:
                server.limits = _limits(settings)
        if self.proxy is not None:
            self.proxy.reconfigure(settings, self.components.providers.values())

    async def stop(self) -> None:
        """Stop accepting, let requests finish within the shutdown timeout, then cancel them."""
        if self._composition is None or self._server is None:
            return
        in_flight = self._composition.resources.in_flight
        in_flight.draining = True
        self._composition.resources.recorder.finish_by(self._settings.shutdown_timeout)
        self._listener.close()
        if self.proxy is not None:
            self.proxy.stop_accepting()
        if self._page is not None and self._page_server is not None:
            self._page.close()
            self._page_server.drain()
        self._server.drain()
        ended = await _within(self._settings.shutdown_timeout, self._drained(self._server))
        if not ended and in_flight.count:
            logger.warning("The shutdown cut off {}", counted(in_flight.count, "request"))
        in_flight.cut_off = True
        self._server.abort()
        await _within(_CANCEL_S, in_flight.idle())
        await self._stack.aclose()

    async def _drained(self, server: Server) -> None:
        """Return once the last response has been sent completely."""
        in_flight = self.components.in_flight
        await self._listener.settled()
        if not self._listener.outlive:
            # Clients with open connections have no process to go to next, now or in a moment.
            await in_flight.idle()
            server.finish()
        await server.empty()
        await in_flight.idle()


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.http_read_timeout, settings.http_write_timeout, settings.http_allow_half_close
    )


async def _within(seconds: float, ending: Coroutine[None, None, None]) -> bool:
    """Whether it finished within that time."""
    try:
        async with asyncio.timeout(seconds):
            await ending
    except TimeoutError:
        return False
    return True
