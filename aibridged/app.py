"""The composition root: the only place that constructs. Parts, listener, run, drain."""

import asyncio
import os
import signal
import ssl
from collections.abc import Sequence

from loguru import logger

from aibridged import __version__
from aibridged.clock import Clock, SystemClock
from aibridged.config.options import Settings
from aibridged.core.breaker import BreakerKey, Breakers, BreakerSettings, State
from aibridged.core.concurrency import Slots
from aibridged.core.rate_limit import RateLimiter
from aibridged.event_loop import loop_factory
from aibridged.identity.none import NoneAuthenticator
from aibridged.observe.logging import configure
from aibridged.pipeline import Parts, build
from aibridged.pipeline.connection import Server
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.in_flight import InFlight
from aibridged.pipeline.upstream import make_session
from aibridged.providers import make_providers

# How long cancelled requests may take to notice.
_CANCEL_S = 5.0


class CannotListenError(Exception):
    """The listener could not be opened; the message says why and what to do."""


class Gateway:
    """The running daemon: one listener in front of the pipeline."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._parts: Parts | None = None
        self._server: Server | None = None
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where the gateway listens, with the port that the system chose for port 0."""
        assert self._listener is not None
        host, port = self._listener.sockets[0].getsockname()[:2]
        scheme = "https" if self._settings.tls_cert_file else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self) -> None:
        """Make the parts and listen.

        Raises:
            CannotListenError: the address is taken or not here, or the certificate is bad.
        """
        settings = self._settings
        tls = _tls(settings)
        self._parts = _make_parts(settings, self._clock)
        self._server = Server(
            build(self._parts),
            read_timeout=settings.http_read_timeout,
            write_timeout=settings.http_write_timeout,
        )
        address = settings.http_address
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._server, address.host or None, address.port, ssl=tls, backlog=1024
            )
        except OSError as error:
            await self._close_sessions()
            raise CannotListenError(
                f"Cannot listen on {address}: {os.strerror(error.errno) if error.errno else error}."
                " Stop what listens there, or choose another --http-address."
            ) from None

    async def stop(self) -> None:
        """Take nothing new, let running requests end within the shutdown timeout, then cancel."""
        if self._listener is None or self._parts is None or self._server is None:
            return
        in_flight = self._parts.in_flight
        in_flight.draining = True
        self._listener.close()
        if not await _within(self._settings.shutdown_timeout, in_flight):
            logger.warning("{} requests were cut off by the shutdown", in_flight.count)
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await _within(_CANCEL_S, in_flight)
        await self._close_sessions()

    async def _close_sessions(self) -> None:
        assert self._parts is not None
        for session in self._parts.sessions.values():
            await session.close()


def run(settings: Settings, warnings: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    configure(
        settings.log_human,
        settings.log_json,
        settings.log_stackdriver,
        settings.log_filter,
        settings.verbose,
    )
    for warning in warnings:
        logger.warning("{}", warning)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stopping)
    gateway = Gateway(settings)
    try:
        await gateway.start()
    except CannotListenError as error:
        logger.error("{}", error)
        return 1
    _announce(gateway.url, settings)
    await stopping.wait()
    logger.info("Shutting down: running requests have {:g} s", settings.shutdown_timeout)
    await gateway.stop()
    return 0


def _on_signal(number: signal.Signals, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        # Asked twice: die of it at once, as if it had never been handled.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    stopping.set()


def _announce(url: str, settings: Settings) -> None:
    routes = ", ".join(f"{url}/{provider.name}" for provider in settings.providers)
    logger.info("aibridged {} listens on {}; point clients at {}", __version__, url, routes)
    for provider in settings.providers:
        if provider.key is None:
            logger.warning(
                "Provider {} has no key: only callers with a key of their own get through",
                provider.name,
            )


def _make_parts(settings: Settings, clock: Clock) -> Parts:
    return Parts(
        settings=settings,
        clock=clock,
        providers=make_providers(settings.providers),
        sessions={
            provider.name: make_session(settings.upstream_connect_timeout)
            for provider in settings.providers
        },
        authenticator=NoneAuthenticator(),
        in_flight=InFlight(),
        slots=Slots(settings.max_concurrency),
        rate_limiter=RateLimiter(settings.rate_limit, clock) if settings.rate_limit else None,
        breakers=_make_breakers(settings, clock) if settings.circuit_breaker_enabled else None,
        dumper=Dumper(settings.dump_dir, clock) if settings.dump_dir else None,
    )


def _make_breakers(settings: Settings, clock: Clock) -> Breakers:
    return Breakers(
        BreakerSettings(
            failure_threshold=settings.circuit_breaker_failure_threshold,
            interval=settings.circuit_breaker_interval,
            timeout=settings.circuit_breaker_timeout,
            max_requests=settings.circuit_breaker_max_requests,
        ),
        clock,
        _log_circuit,
    )


def _log_circuit(key: BreakerKey, before: State, now: State) -> None:
    logger.bind(provider=key.provider, endpoint=key.endpoint, model=key.model).warning(
        "Circuit breaker: {} -> {}", before.value, now.value
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise CannotListenError(
            f"--tls-cert-file and --tls-key-file are no certificate with its key: {error}."
        ) from None
    return context


async def _within(seconds: float, in_flight: InFlight) -> bool:
    """Whether all requests ended within that time."""
    try:
        async with asyncio.timeout(seconds):
            await in_flight.idle()
    except TimeoutError:
        return False
    return True
