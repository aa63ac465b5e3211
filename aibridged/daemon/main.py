"""The daemon process: signals, the service manager, startup log lines."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

from loguru import logger

from aibridged import __version__
from aibridged.clock import SystemClock
from aibridged.config import report
from aibridged.config.options import Settings
from aibridged.config.providers import OWN_KEY_ONLY
from aibridged.config.reloading import CannotReloadError, Change, change
from aibridged.config.resolution import Resolution
from aibridged.daemon.ai_proxy import announce_proxy
from aibridged.daemon.client_limits import log_connection_limit
from aibridged.daemon.gateway import CannotStartError, Gateway
from aibridged.daemon.reload import Reloader
from aibridged.daemon.runtime import log_as, on_stop_signals, run_process, tune_garbage_collector
from aibridged.daemon.systemd import Notifier, PassedSocketError, passed_sockets, telling
from aibridged.identity.base import AuthUnavailableError
from aibridged.observe.log_outputs import reopen, show
from aibridged.observe.logging import CannotLogError
from aibridged.tasks import Tasks
from aibridged.transport.listeners import CannotListenError

# Time for the end of the daemon after its requests have ended: records are written.
_SLACK_S = 30.0


def run(resolution: Resolution, resolve: Callable[[], Resolution]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status, 1 where records were lost at the end.

    SIGHUP takes settings from `resolve`, which loads them as at the start. SIGUSR1 reopens the log
    files. The `resolution` is without mistakes.
    """
    settings = resolution.settings
    assert settings is not None, "it has mistakes"
    return run_process(
        settings, resolution.warnings, partial(_serve, settings, resolution, resolve)
    )


async def _serve(
    settings: Settings, resolution: Resolution, resolve: Callable[[], Resolution]
) -> int:
    stopping, hangup = on_stop_signals(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    loop.add_signal_handler(signal.SIGUSR1, reopen)
    notifier = Notifier(os.environ)
    try:
        gateway = await _started(settings)
        gateway.loaded.began(resolution)
    except (CannotStartError, PassedSocketError) as error:
        logger.error("{}", error)
        notifier.status(str(error))
        return 1
    latest: list[Resolution] = []

    def resolve_again() -> Resolution:
        latest[:] = [resolve()]
        return latest[0]

    def apply(wanted: Settings) -> Change:
        result = _put_in_force(gateway, wanted)
        gateway.loaded.reloaded(latest[0], result.waiting)
        return result

    reloader = Reloader(
        resolve_again,
        apply,
        gateway.components.reloads,
        SystemClock(),
        notifier,
    )
    tasks = Tasks()
    reloading = tasks.start(reloader.run(hangup), "reloading")
    tune_garbage_collector()
    notifier.ready()
    with telling(notifier, os.environ, os.getpid(), gateway.status):
        await stopping.wait()
        within = gateway.settings.shutdown_timeout
        logger.info("Shutting down: draining requests for up to {:g} s", within)
        notifier.stopping(within + _SLACK_S)
        reloading.cancel()
        await gateway.stop()
        await tasks.idle()
    return 1 if gateway.lost_records else 0


async def _started(settings: Settings) -> Gateway:
    """The running gateway, after it has logged its addresses and first steps."""
    passed = passed_sockets(os.environ, os.getpid())
    gateway = Gateway(settings, passed=passed)
    await gateway.start()
    _announce(gateway)
    logger.info("Records are stored in {}", gateway.records)
    for name in passed:
        logger.warning(
            "A socket was passed for {}, which is disabled: connections to it are not served", name
        )
    await _introduce(gateway)
    return gateway


async def _introduce(gateway: Gateway) -> None:
    try:
        text = await gateway.introduce(terminal=sys.stderr.isatty())
    except AuthUnavailableError as error:
        logger.warning("Failed to check whether there are users yet: {}", error)
        return
    if text is not None:
        show(f"{text}\n", sys.stderr)


def _announce(gateway: Gateway) -> None:
    settings, urls = gateway.settings, gateway.urls
    # Clients of the others have no base URL to set: they use the AI Proxy.
    providers = [each for each in settings.providers if each.type not in OWN_KEY_ONLY]
    prefixes = {each.name: each.prefix for each in gateway.components.providers.values()}
    routes = ", ".join(f"{gateway.url}/{each.name}{prefixes[each.name]}" for each in providers)
    where = " and ".join(urls) + (f"; point clients at {routes}" if routes else "")
    logger.info("aibridged {} listens on {}", __version__, where)
    if gateway.is_activated:
        logger.info("Using the passed sockets: --http-address {} is ignored", settings.http_address)
    for url in gateway.page_urls[:1]:
        logger.info("The web page is at {}", url)
    for way in report.ways(settings):
        logger.info("Outgoing requests go {}", way)
    log_connection_limit(gateway.components.connection_limiter)
    if gateway.metrics_urls:
        logger.info("Metrics are served at {}", " and ".join(gateway.metrics_urls))
    if gateway.proxy is not None:
        announce_proxy(gateway.proxy)
    for provider in providers:
        if provider.key is None:
            logger.warning(
                "Provider {} has no key: only users with their own key (BYOK) can use it. Set {}",
                provider.name,
                provider.key_setting,
            )


def _put_in_force(gateway: Gateway, wanted: Settings) -> Change:
    """Apply the settings to the gateway and the logging, to both or to neither.

    Raises:
        CannotReloadError: to neither, for the reason in the message.
    """
    before = gateway.settings
    result = change(before, wanted)
    try:
        log_as(result.settings)
    except CannotLogError as error:
        raise CannotReloadError(str(error)) from None
    try:
        gateway.reconfigure(result.settings)
    except CannotListenError as error:
        log_as(before)
        raise CannotReloadError(str(error)) from None
    return result
