"""The daemon: start, run, reload, drain."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial

from loguru import logger

from aibridged import __version__, systemd
from aibridged.clock import Clock, SystemClock
from aibridged.compose import Composition, compose
from aibridged.config.options import Settings
from aibridged.config.reloading import CannotReloadError, Change, change
from aibridged.config.resolution import Resolution
from aibridged.event_loop import loop_factory
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.first_run import first_run
from aibridged.listening import CannotListenError, Listeners, MetricsListener
from aibridged.observe.log_outputs import reopen
from aibridged.observe.logging import configure
from aibridged.observe.otlp import TracingError
from aibridged.pipeline import Parts, build, scrape
from aibridged.pipeline.connection import Limits, Server
from aibridged.records.database import DatabaseError
from aibridged.records.spool import SpoolInUseError
from aibridged.records.store import DatabaseAwayError
from aibridged.reload import Reloader
from aibridged.systemd import Notifier, PassedSocketError, PassedSockets, passed_sockets, telling

# How long cancelled requests may take to notice.
_CANCEL_S = 5.0
# What the end of the daemon may take after its requests have ended: records are written out.
_SLACK_S = 30.0


class CannotStartError(Exception):
    """The daemon can't serve; the message says why and what to do."""


class Gateway:
    """The running daemon: a listener in front of the pipeline.

    `passed` are the sockets that were passed to the process, by name; who listens on some takes
    them out of it. Those named `http` count in place of the settings' address.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        passed: PassedSockets | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        passed = {} if passed is None else passed
        self._listeners = Listeners(settings, passed.pop(systemd.HTTP, ()))
        self._metrics = (
            MetricsListener(settings, passed.pop(systemd.METRICS, ()))
            if settings.prometheus_enable
            else None
        )
        self._composition: Composition | None = None
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where the gateway listens, with the port that the system chose for port 0."""
        return self._listeners.urls[0]

    @property
    def urls(self) -> Sequence[str]:
        """Everywhere that it listens."""
        return self._listeners.urls

    @property
    def is_activated(self) -> bool:
        """Whether it listens on sockets that were passed."""
        return self._listeners.outlive

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings

    @property
    def parts(self) -> Parts:
        """Those of the configuration in force."""
        assert self._composition is not None
        return self._composition.parts

    async def start(self) -> None:
        """Make the parts and listen.

        Raises:
            CannotStartError: the records can't be kept, the address is taken or not here, the
                certificate is bad, or traces can't be sent.
        """
        settings = self._settings
        try:
            self._composition = await compose(settings, self._clock, self._stack)
            if self._metrics is not None:
                await self._open_metrics(self._metrics, self._composition)
            self._server = Server(build(self._composition.parts), limits=_limits(settings))
            await self._listeners.open(self._server)
        except (
            DatabaseError,
            DatabaseAwayError,
            SpoolInUseError,
            CannotListenError,
            TracingError,
        ) as error:
            await self._stack.aclose()
            raise CannotStartError(str(error)) from None
        except OSError as error:
            await self._stack.aclose()
            raise CannotStartError(f"The state directory can't be used: {error}.") from None

    async def _open_metrics(self, listener: MetricsListener, composition: Composition) -> None:
        readout = composition.readout
        assert readout is not None
        scrapes = scrape.handler(lambda: readout(composition.parts))
        self._stack.callback(listener.close)
        await listener.open(Server(scrapes, limits=_limits(self._settings)))

    @property
    def metrics_urls(self) -> Sequence[str]:
        """Where Prometheus finds the metrics, if they are on."""
        return [f"{url}/metrics" for url in self._metrics.urls] if self._metrics is not None else ()

    @property
    def records(self) -> str:
        """Where records are kept."""
        assert self._composition is not None
        return self._composition.lasting.records

    async def introduce(self, *, terminal: bool) -> str | None:
        """On the first start, what a person at the terminal has to be told."""
        if self._composition is None or self._composition.lasting.tokens is None:
            return None
        bases = {
            each.type: f"{self.url}/{each.name}" for each in reversed(self._settings.providers)
        }
        openai = bases.get("openai")
        return await asyncio.to_thread(
            first_run,
            self._composition.lasting.tokens,
            terminal=terminal,
            anthropic_base_url=bases.get("anthropic"),
            openai_base_url=f"{openai}/v1" if openai else None,
        )

    def status(self) -> str:
        """What it does, in one line for an operator."""
        in_flight = self.parts.in_flight
        doing = "shutting down" if in_flight.draining else "serving"
        names = ", ".join(each.name for each in self._settings.providers) or "none"
        return f"{doing}, {in_flight.count} requests in flight; providers: {names}"

    def reconfigure(self, settings: Settings) -> None:
        """Put other settings in force, which differ in nothing that needs a restart.

        Requests that run end as they began; no connection notices.

        Raises:
            CannotListenError: the certificate that is to be read again is bad; nothing changes.
        """
        assert self._composition is not None
        assert self._server is not None
        self._listeners.renew_certificate()
        self._settings = settings
        self._server.handler = build(self._composition.reconfigure(settings))
        self._server.limits = _limits(settings)

    async def stop(self) -> None:
        """Accept nothing, let running requests end within the shutdown timeout, then cancel."""
        if self._composition is None or self._server is None:
            return
        in_flight = self._composition.lasting.in_flight
        in_flight.draining = True
        in_flight.refusing = not self._listeners.outlive
        self._listeners.close()
        self._server.drain()
        if not await _within(self._settings.shutdown_timeout, self._drained(self._server)):
            logger.warning("{} requests were cut off by the shutdown", in_flight.count)
        in_flight.cut_off = True
        self._server.abort()
        await _within(_CANCEL_S, in_flight.idle())
        await self._stack.aclose()

    async def _drained(self, server: Server) -> None:
        """Return once the last response has been sent to its end."""
        in_flight = self.parts.in_flight
        if not self._listeners.outlive:
            # Whoever still has a connection finds nobody to come to next, now or in a moment.
            await in_flight.idle()
            server.finish()
        await server.empty()
        await in_flight.idle()


def run(settings: Settings, resolve: Callable[[], Resolution], warnings: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status.

    SIGHUP takes settings from `resolve`, which reads them as they were read for the start. SIGUSR1
    opens the log files anew.
    """
    _log_as(settings)
    for warning in warnings:
        logger.warning("{}", warning)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings, resolve))


async def _serve(settings: Settings, resolve: Callable[[], Resolution]) -> int:
    stopping, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stopping)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    loop.add_signal_handler(signal.SIGUSR1, reopen)
    notifier = Notifier(os.environ)
    try:
        gateway = await _started(settings)
    except (CannotStartError, PassedSocketError) as error:
        logger.error("{}", error)
        notifier.status(str(error))
        return 1
    reloader = Reloader(
        resolve, partial(_put_in_force, gateway), gateway.parts.reloads, SystemClock(), notifier
    )
    reloading = loop.create_task(reloader.run(hangup))
    notifier.ready()
    with telling(notifier, os.environ, os.getpid(), gateway.status):
        await stopping.wait()
        within = gateway.settings.shutdown_timeout
        logger.info("Shutting down: running requests have {:g} s", within)
        notifier.stopping(within + _SLACK_S)
        reloading.cancel()
        await gateway.stop()
    return 0


async def _started(settings: Settings) -> Gateway:
    """The gateway, which has told where it is and what to do."""
    passed = passed_sockets(os.environ, os.getpid())
    gateway = Gateway(settings, passed=passed)
    await gateway.start()
    _announce(gateway)
    for name in passed:
        logger.warning("A socket was passed for {}, which is switched off: nobody answers", name)
    await _introduce(gateway)
    return gateway


async def _introduce(gateway: Gateway) -> None:
    try:
        text = await gateway.introduce(terminal=sys.stderr.isatty())
    except AuthUnavailableError as error:
        logger.warning("Nobody can tell whether there are users yet: {}", error)
        return
    if text is not None:
        print(text, file=sys.stderr, flush=True)


def _announce(gateway: Gateway) -> None:
    settings, urls = gateway.settings, gateway.urls
    routes = ", ".join(f"{urls[0]}/{provider.name}" for provider in settings.providers)
    where = " and ".join(urls)
    logger.info("aibridged {} listens on {}; point clients at {}", __version__, where, routes)
    if gateway.is_activated:
        logger.info("The sockets were passed: --http-address {} is not used", settings.http_address)
    if gateway.metrics_urls:
        logger.info("Metrics are at {}", " and ".join(gateway.metrics_urls))
    for provider in settings.providers:
        if provider.key is None:
            logger.warning(
                "Provider {} has no key: only callers with a key of their own get through",
                provider.name,
            )


def _on_signal(number: signal.Signals, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        # Asked twice: die of it at once, as if it had never been handled.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    stopping.set()


def _put_in_force(gateway: Gateway, wanted: Settings) -> Change:
    """Reload the gateway and the logging, both or neither.

    Raises:
        CannotReloadError: neither, as the message says.
    """
    before = gateway.settings
    result = change(before, wanted)
    try:
        _log_as(result.settings)
        gateway.reconfigure(result.settings)
    except (OSError, CannotListenError) as error:
        _log_as(before)
        raise CannotReloadError(str(error)) from None
    return result


def _log_as(settings: Settings) -> None:
    configure(
        settings.log_human,
        settings.log_json,
        settings.log_stackdriver,
        settings.log_filter,
        settings.verbose,
        trace_logs=settings.trace and settings.trace_logs,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(settings.http_read_timeout, settings.http_write_timeout)


async def _within(seconds: float, ending: Coroutine[None, None, None]) -> bool:
    """Whether it came to its end within that time."""
    try:
        async with asyncio.timeout(seconds):
            await ending
    except TimeoutError:
        return False
    return True
