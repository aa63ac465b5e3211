"""The supervisor: one daemon of several processes, for signals, the service manager and reloads.

It serves no request itself, and imports nothing of what serves them.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial

from loguru import logger
from msgspec.structs import replace

from aibridged.clock import SystemClock
from aibridged.config.options import Settings
from aibridged.config.reloading import CannotReloadError, Change, ReloadStats, change
from aibridged.config.resolution import Resolution
from aibridged.counted import counted
from aibridged.daemon.loaded import Loaded
from aibridged.daemon.reload import Reloader
from aibridged.daemon.runtime import SLACK_S, log_as, on_stop_signals, run_process
from aibridged.daemon.status_server import StatusServer
from aibridged.daemon.status_socket import DAEMON
from aibridged.daemon.systemd import Notifier, PassedSocketError, passed_sockets, telling
from aibridged.daemon.workers.answers import Answers
from aibridged.daemon.workers.child import WORKER
from aibridged.daemon.workers.group import Group, GroupFailedError, Slot
from aibridged.daemon.workers.messages import LIMITS, LINE_LOCKS, RELOADS, REOPEN_LOGS, InForce
from aibridged.daemon.workers.sockets import GroupSockets, check_certificates
from aibridged.limits.shared import SharedLimits
from aibridged.observe.line_locks import make_locks, share_lines
from aibridged.observe.log_outputs import reopen
from aibridged.observe.logging import CannotLogError
from aibridged.tasks import Tasks
from aibridged.transport.listeners import CannotListenError


def run(resolution: Resolution, resolve: Callable[[], Resolution], count: int) -> int:
    """Serve with `count` workers until SIGTERM or SIGINT; see `daemon.main.run`."""
    settings = resolution.settings
    assert settings is not None, "it has mistakes"
    locks = make_locks()
    share_lines(locks)
    descriptors = {LINE_LOCKS[stream]: lock for stream, lock in locks.items()}
    serve = partial(_serve, settings, resolution, resolve, count, descriptors)
    return run_process(settings, resolution.warnings, serve)


async def _serve(
    settings: Settings,
    resolution: Resolution,
    resolve: Callable[[], Resolution],
    count: int,
    descriptors: Mapping[str, int],
) -> int:
    loaded = Loaded()
    loaded.began(resolution)
    sockets = GroupSockets()
    group = Group(count, InForce(settings, loaded), sockets, SystemClock())
    group.descriptors |= descriptors
    status_server = StatusServer(
        settings.state_dir, DAEMON, Answers(group, SystemClock()).status_document
    )
    stopping, hangup = on_stop_signals(group.kill), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    loop.add_signal_handler(signal.SIGUSR1, _reopen_logs, group)
    notifier, tasks = Notifier(os.environ), Tasks()
    try:
        await sockets.open(settings, passed_sockets(os.environ, os.getpid()))
        _share_limits(group, count)
        await _start(group, stopping, tasks)
    except (CannotListenError, GroupFailedError, PassedSocketError) as error:
        logger.error("{}", error)
        notifier.status(str(error))
        return 1
    except OSError as error:
        await group.stop(0.0)
        logger.error("The workers can't be started: {}.", error.strerror)
        return 1
    status_server.start()
    reloading = tasks.start(_reloader(group, resolve, notifier).run(hangup), "reloading")
    if not stopping.is_set():
        logger.info("{} serve", counted(count, "worker"))
        notifier.ready()
    status = partial(_status, group)
    with telling(notifier, os.environ, os.getpid(), status, lambda: group.answers):
        await stopping.wait()
        within = group.in_force.settings.shutdown_timeout
        logger.info("Shutting down: draining requests for up to {:g} s", within)
        notifier.stopping(within + SLACK_S)
        reloading.cancel()
        await group.stop(within)
        await tasks.idle()
    await status_server.close()
    return 1 if group.has_failed else 0


def _share_limits(group: Group, workers: int) -> None:
    """Make the memory that holds the limits, and give back there what a dead worker had.

    Raises:
        OSError: the system has no memory, or no locks for it.
    """
    limits = SharedLimits.create(workers)
    group.descriptors[LIMITS] = limits.fileno()

    def give_back(slot: Slot) -> None:
        if slot.kind == WORKER:
            limits.release_slot(slot.number - 1)

    group.when_dead.append(give_back)


async def _start(group: Group, stopping: asyncio.Event, tasks: Tasks) -> None:
    """Start the group, unless it is to be stopped before.

    Raises:
        GroupFailedError, OSError: it can't be.
    """

    async def start() -> GroupFailedError | OSError | None:
        try:
            await group.start()
        except (GroupFailedError, OSError) as error:
            return error
        return None

    starting = tasks.start(start(), "start of the workers")
    waiting = tasks.start(stopping.wait(), "signal")
    await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        await tasks.cancel()
        return
    waiting.cancel()
    if (error := starting.result()) is not None:
        raise error


def _reopen_logs(group: Group) -> None:
    reopen()
    group.tell_all(REOPEN_LOGS)


def _reloader(group: Group, resolve: Callable[[], Resolution], notifier: Notifier) -> Reloader:
    """Reloads for all: checked here, and put in force by each."""
    latest: list[Resolution] = []

    def resolve_again() -> Resolution:
        latest[:] = [resolve()]
        return latest[0]

    async def apply(wanted: Settings) -> Change:
        before = group.in_force
        result = change(before.settings, wanted)
        try:
            await asyncio.to_thread(check_certificates, result.settings)
            log_as(result.settings)
        except (CannotListenError, CannotLogError) as error:
            raise CannotReloadError(str(error)) from None
        loaded = replace(before.loaded)
        loaded.reloaded(latest[0], result.waiting)
        await group.put_in_force(InForce(result.settings, loaded))
        return result

    clock = SystemClock()
    now = clock.wall().timestamp()
    stats = ReloadStats(now, now)
    return Reloader(resolve_again, apply, stats, clock, _Heralds(notifier, group, stats))


class _Heralds:
    """Tells of reloads: the service manager, and the workers, who are asked for it."""

    def __init__(self, notifier: Notifier, group: Group, stats: ReloadStats) -> None:
        self._notifier = notifier
        self._group = group
        self._stats = stats

    def reloading(self, monotonic: float) -> None:
        self._notifier.reloading(monotonic)

    def ready(self) -> None:
        for child in self._group.serving:
            child.channel.tell(RELOADS, self._stats)
        self._notifier.ready()


def _status(group: Group) -> str:
    """Status in one line for the operator."""
    settings, serving = group.in_force.settings, len(group.serving)
    in_flight = sum(slot.pulse.in_flight for slot in group.slots if slot.pulse is not None)
    doing = f"{serving} of {counted(len(group.slots), 'worker')} serving"
    names = ", ".join(each.name for each in settings.providers) or "none"
    return f"{doing}; requests in flight: {in_flight}; providers: {names}"
