"""The daemon process: signals, the service manager, startup log lines."""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial

from loguru import logger

from aibridged.clock import SystemClock
from aibridged.config.options import Settings
from aibridged.config.reloading import Change, change
from aibridged.config.resolution import Resolution
from aibridged.daemon.announcement import announce
from aibridged.daemon.gateway import CannotStartError, Gateway
from aibridged.daemon.in_force import put_in_force
from aibridged.daemon.reload import Reloader
from aibridged.daemon.runtime import (
    SLACK_S,
    on_stop_signals,
    run_process,
    tune_garbage_collector,
)
from aibridged.daemon.systemd import Notifier, PassedSocketError, passed_sockets, telling
from aibridged.observe.log_outputs import reopen
from aibridged.tasks import Tasks


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

    async def apply(wanted: Settings) -> Change:
        result = change(gateway.settings, wanted)
        put_in_force(gateway, result.settings)
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
        notifier.stopping(within + SLACK_S)
        reloading.cancel()
        await gateway.stop()
        await tasks.idle()
    return 1 if gateway.lost_records else 0


async def _started(settings: Settings) -> Gateway:
    """The running gateway, after it has logged its addresses and first steps."""
    gateway = Gateway(settings, passed=passed_sockets(os.environ, os.getpid()))
    await gateway.start()
    await announce(gateway)
    return gateway
