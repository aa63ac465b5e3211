"""The daemon: listener, run, drain."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from loguru import logger

from aibridged import __version__
from aibridged.clock import Clock, SystemClock
from aibridged.compose import Composition, compose
from aibridged.config.options import Settings
from aibridged.event_loop import loop_factory
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.first_run import first_run
from aibridged.observe.logging import configure
from aibridged.pipeline import build
from aibridged.pipeline.connection import Server
from aibridged.pipeline.in_flight import InFlight
from aibridged.records.database import DatabaseError
from aibridged.records.spool import SpoolInUseError
from aibridged.records.store import DatabaseAwayError

# How long cancelled requests may take to notice.
_CANCEL_S = 5.0


class CannotStartError(Exception):
    """The daemon can't serve; the message says why and what to do."""


class Gateway:
    """The running daemon: one listener in front of the pipeline."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._composition: Composition | None = None
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
            CannotStartError: the records can't be kept, the address is taken or not here, or the
                certificate is bad.
        """
        settings = self._settings
        tls = _tls(settings)
        try:
            self._composition = await compose(settings, self._clock, self._stack)
            parts = self._composition.parts
            self._server = Server(
                build(parts),
                read_timeout=settings.http_read_timeout,
                write_timeout=settings.http_write_timeout,
            )
            self._listener = await self._listen(self._server, tls)
        except (DatabaseError, DatabaseAwayError, SpoolInUseError) as error:
            await self._stack.aclose()
            raise CannotStartError(str(error)) from None
        except OSError as error:
            await self._stack.aclose()
            raise CannotStartError(f"The state directory can't be used: {error}.") from None
        except CannotStartError:
            await self._stack.aclose()
            raise

    async def _listen(self, server: Server, tls: ssl.SSLContext | None) -> asyncio.Server:
        address = self._settings.http_address
        try:
            return await asyncio.get_running_loop().create_server(
                server, address.host or None, address.port, ssl=tls, backlog=1024
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotStartError(
                f"Cannot listen on {address}: {reason}."
                " Stop what listens there, or choose another --http-address."
            ) from None

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

    async def stop(self) -> None:
        """Take nothing new, let running requests end within the shutdown timeout, then cancel."""
        if self._listener is None or self._composition is None or self._server is None:
            return
        in_flight = self._composition.lasting.in_flight
        in_flight.draining = True
        self._listener.close()
        if not await _within(self._settings.shutdown_timeout, in_flight):
            logger.warning("{} requests were cut off by the shutdown", in_flight.count)
        in_flight.cut_off = True
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await _within(_CANCEL_S, in_flight)
        await self._stack.aclose()


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
    except CannotStartError as error:
        logger.error("{}", error)
        return 1
    _announce(gateway.url, settings)
    logger.info("Records are kept in {}", gateway.records)
    await _introduce(gateway)
    await stopping.wait()
    logger.info("Shutting down: running requests have {:g} s", settings.shutdown_timeout)
    await gateway.stop()
    return 0


async def _introduce(gateway: Gateway) -> None:
    try:
        text = await gateway.introduce(terminal=sys.stderr.isatty())
    except AuthUnavailableError as error:
        logger.warning("Nobody can tell whether there are users yet: {}", error)
        return
    if text is not None:
        print(text, file=sys.stderr, flush=True)


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


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise CannotStartError(
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
