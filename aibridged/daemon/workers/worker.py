"""A worker: the whole gateway, in one of several processes that serve as one daemon."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from loguru import logger

from aibridged.clock import SystemClock
from aibridged.config.reloading import CannotReloadError, ReloadStats
from aibridged.daemon.announcement import announce
from aibridged.daemon.gateway import CannotStartError, Gateway
from aibridged.daemon.in_force import put_in_force
from aibridged.daemon.runtime import on_stop_signals, run_process, tune_garbage_collector
from aibridged.daemon.systemd import PassedSockets
from aibridged.daemon.workers.channel import Channel, RefusedError
from aibridged.daemon.workers.child import tell_failure
from aibridged.daemon.workers.messages import (
    LIMITS,
    PING,
    RELOAD,
    RELOADS,
    REOPEN_LOGS,
    STARTED,
    STOP,
    Begin,
    InForce,
    Pulse,
    unpacked,
)
from aibridged.daemon.workers.share import share_of
from aibridged.daemon.workers.siblings import Siblings
from aibridged.limits.shared import SharedLimits
from aibridged.observe.log_outputs import reopen
from aibridged.observe.logging import name_worker
from aibridged.transport.acceptor import SharedSocket
from aibridged.transport.listeners import listens


def run(begin: Begin, connection: socket.socket) -> int:
    """Serve until told to stop, or until the supervisor has ended; returns the exit status."""
    in_force = unpacked(begin.in_force)
    return run_process(in_force.settings, (), partial(_serve, begin, in_force, connection))


async def _serve(begin: Begin, in_force: InForce, connection: socket.socket) -> int:
    channel = Channel(connection, "The supervisor")
    stopping = on_stop_signals()
    worker = _Worker(begin, in_force, channel, stopping)
    await channel.start()
    try:
        return await worker.serve()
    finally:
        stopping.set()
        await channel.close()


class _Worker:
    """A gateway that does what the supervisor says."""

    def __init__(
        self, begin: Begin, in_force: InForce, channel: Channel, stopping: asyncio.Event
    ) -> None:
        passed: PassedSockets = {
            name: [_inherited(each) for each in descriptors]
            for name, descriptors in begin.sockets.items()
        }
        memory = begin.descriptors[LIMITS]
        limiters = SharedLimits.attach(memory, begin.slot - 1, SystemClock())
        os.close(memory)
        siblings = Siblings(begin.slot, begin.count, channel, limiters)
        settings = share_of(in_force.settings, begin.count)
        self._gateway = Gateway(settings, passed=passed, siblings=siblings)
        self._gateway.loaded = in_force.loaded
        self._announces = begin.announces
        self._slot, self._count = begin.slot, begin.count
        self._channel = channel
        self._stopping = stopping
        self._has_started = False
        channel.on_end = self._is_alone
        channel.on(PING, self._ping)
        channel.on(STOP, self._stop)
        channel.on(RELOAD, self._reload, bytes)
        channel.on(REOPEN_LOGS, self._reopen_logs)
        channel.on(RELOADS, self._note_reloads, ReloadStats)

    async def serve(self) -> int:
        gateway = self._gateway
        try:
            with nullcontext() if self._announces else _unlogged():
                await gateway.start()
        except CannotStartError as error:
            await tell_failure(self._channel, error)
            return 1
        if self._announces:
            await announce(gateway)
            name_worker(str(self._slot))  # until now it spoke for all
        self._has_started = True
        tune_garbage_collector()
        self._channel.tell(STARTED)
        await self._stopping.wait()
        await gateway.stop()
        return 1 if gateway.lost_records else 0

    def _is_alone(self) -> None:
        if not self._stopping.is_set():
            logger.error("The supervisor has ended: shutting down")
            self._stopping.set()

    async def _ping(self, _: object) -> Pulse:
        if not self._has_started:
            return Pulse()
        components = self._gateway.components
        return Pulse(
            in_flight=components.in_flight.count,
            draining=components.in_flight.draining,
            refuses=components.recorder_stats.refuses,
        )

    async def _stop(self, _: object) -> None:
        self._stopping.set()

    async def _reload(self, data: bytes) -> None:
        wanted = unpacked(data)
        try:
            put_in_force(self._gateway, share_of(wanted.settings, self._count))
        except CannotReloadError as error:
            raise RefusedError(str(error)) from None
        self._gateway.loaded = wanted.loaded

    async def _note_reloads(self, stats: ReloadStats) -> None:
        """Have the metrics and the problems say how the last reload went."""
        if self._has_started:
            own = self._gateway.components.reloads
            own.last_attempt, own.last_success = stats.last_attempt, stats.last_success
            own.succeeded = stats.succeeded

    async def _reopen_logs(self, _: object) -> None:
        reopen(is_logged=False)  # the supervisor says it for all


@contextmanager
def _unlogged() -> Iterator[None]:
    """Meanwhile, nothing is logged that the first worker says for all; of records, each has own."""
    logger.disable("aibridged.daemon")
    try:
        yield
    finally:
        logger.enable("aibridged.daemon")


def _inherited(descriptor: int) -> socket.socket:
    """The socket; one that listens already is shared with the other workers."""
    found = SharedSocket(fileno=descriptor)
    return found if listens(found) else socket.socket(fileno=found.detach())
