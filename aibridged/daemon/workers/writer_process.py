"""The writer process of a group on SQLite: it alone writes, flushes and checkpoints records.

It holds the lock of the state directory, and does what is done once for the group: it prunes, and
sums up usage.
"""

import asyncio
import socket
from contextlib import AsyncExitStack
from functools import partial

from aibridged.clock import Clock, SystemClock
from aibridged.config.options import Settings
from aibridged.config.resolution import StartError
from aibridged.daemon.group_jobs import GroupJobs
from aibridged.daemon.group_metrics import parts_of
from aibridged.daemon.record_readings import written_readings
from aibridged.daemon.runtime import (
    SLACK_S,
    log_as,
    on_stop_signals,
    run_process,
    tune_garbage_collector,
)
from aibridged.daemon.status_report import Database, Records, Status
from aibridged.daemon.workers.channel import Channel, RefusedError
from aibridged.daemon.workers.child import WRITER, tell_failure
from aibridged.daemon.workers.group_status import STATUS
from aibridged.daemon.workers.messages import (
    PING,
    RELOAD,
    REOPEN_LOGS,
    STARTED,
    STOP,
    Begin,
    InForce,
    Pulse,
    unpacked,
)
from aibridged.daemon.workers.series import METRICS, Parts
from aibridged.daemon.workers.writer_socket import WRITER_SOCKET, listen
from aibridged.observe.log_outputs import reopen
from aibridged.observe.logging import CannotLogError
from aibridged.observe.process_readings import process_readings
from aibridged.records.database import database_url, place_of
from aibridged.records.group_recorder import GroupRecorder
from aibridged.records.open_database import open_database
from aibridged.records.remote_journal import (
    JournalsElsewhere,
    is_living,
    left_behind_before_group,
)
from aibridged.records.remote_server import RecordServer
from aibridged.records.spool import SPOOL_FILE, Spool
from aibridged.records.stats import RecorderStats
from aibridged.records.store import DatabaseAwayError, Store
from aibridged.records.truncation import Truncator
from aibridged.tasks import Tasks
from aibridged.wire.outline import run as at_once


def run(begin: Begin, connection: socket.socket) -> int:
    """Write until told to stop; returns the exit status, 1 where records were lost at the end."""
    in_force = unpacked(begin.in_force)
    return run_process(in_force.settings, (), partial(_serve, in_force, connection))


async def _serve(in_force: InForce, connection: socket.socket) -> int:
    channel, told = Channel(connection, "The supervisor"), asyncio.Event()
    signalled = on_stop_signals()
    channel.on_end = signalled.set
    writer = RecordWriter(in_force.settings, SystemClock())
    _answer(channel, writer, told)
    await channel.start()
    try:
        await writer.start()
    except (StartError, DatabaseAwayError, OSError) as error:
        await tell_failure(channel, error)
        return 1
    tune_garbage_collector()
    channel.tell(STARTED)
    await _first(told, signalled)
    if not told.is_set():
        # The supervisor tells it once the workers have ended. Or it has ended, and they are about
        # to; or a signal was sent to all of them, and they still drain.
        await _first(told, writer.server.is_empty, within=writer.ends_within)
    lost = await writer.stop()
    await channel.close()
    return 1 if lost else 0


async def _first(*events: asyncio.Event, within: float | None = None) -> None:
    """Return once one of them is set."""
    tasks = Tasks()
    waiting = [tasks.start(each.wait(), "end") for each in events]
    await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    await tasks.cancel()


def _answer(channel: Channel, writer: "RecordWriter", told: asyncio.Event) -> None:
    async def ping(_: object) -> Pulse:
        return Pulse(refuses=writer.stats.refuses)

    async def stop(_: object) -> None:
        told.set()

    async def reload(data: bytes) -> None:
        settings = unpacked(data).settings
        try:
            log_as(settings)
        except CannotLogError as error:
            raise RefusedError(str(error)) from None
        writer.reconfigure(settings)

    async def reopen_logs(_: object) -> None:
        reopen(is_logged=False)

    async def status(_: object) -> Status:
        return writer.status()

    async def metrics(_: object) -> Parts:
        readings = [*written_readings(writer.stats), *process_readings(WRITER)]
        return at_once(parts_of(readings))  # a few

    channel.on(PING, ping)
    channel.on(STATUS, status)
    channel.on(METRICS, metrics)
    channel.on(STOP, stop)
    channel.on(RELOAD, reload, bytes)
    channel.on(REOPEN_LOGS, reopen_logs)


class RecordWriter:
    """Writes the records of the workers that connect to its socket."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._truncator = Truncator(settings.max_stored_text)
        self._jobs: GroupJobs | None = None
        self._recorder: GroupRecorder | None = None
        self._place = place_of(database_url(settings.state_dir))
        self.server = RecordServer(partial(is_living, settings.state_dir))

    @property
    def stats(self) -> RecorderStats:
        """What its recorder counts."""
        return RecorderStats() if self._recorder is None else self._recorder.stats

    def status(self) -> Status:
        """What it adds to the status of the workers."""
        stats = self.stats
        last = stats.last_commit_at
        return Status(
            state="serving",
            database=Database(
                kind=self._place.kind,
                location=self._place.location,
                answers=not stats.refuses,
                last_commit_s=None if last is None else round(self._clock.monotonic() - last, 1),
            ),
            records=Records(
                spool_bytes=stats.spool_bytes,
                spooled=stats.records_spooled,
                replayed=stats.records_replayed,
                lost=stats.records_lost,
            ),
        )

    @property
    def ends_within(self) -> float:
        """How many seconds the workers may take to end."""
        return self._settings.shutdown_timeout + SLACK_S

    async def start(self) -> None:
        """Open the database, write what dead workers have left, and take connections.

        Raises:
            DatabaseError, DatabaseAwayError, SpoolError, OSError: the records can't be kept.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        settings, clock, state_dir = self._settings, self._clock, self._settings.state_dir
        engine = await asyncio.to_thread(open_database, settings)
        self._stack.callback(self._truncator.close)
        server = self.server
        self._recorder = recorder = GroupRecorder(
            Store(engine, clock, is_living=partial(is_living, state_dir)),
            Spool(state_dir / SPOOL_FILE),
            JournalsElsewhere(server.released),
            clock,
            truncator=self._truncator,
            left_behind=partial(left_behind_before_group, state_dir),
        )
        await recorder.open()
        self._stack.push_async_callback(recorder.close)
        self._jobs = GroupJobs(engine, clock, recorder.prune, self._stack)
        self._jobs.configure(settings)
        listening = listen(state_dir)
        self._stack.callback((state_dir / WRITER_SOCKET).unlink, missing_ok=True)
        self._stack.callback(listening.close)
        server.serve(listening, recorder)
        self._stack.push_async_callback(server.close)

    def reconfigure(self, settings: Settings) -> None:
        """Apply new settings."""
        self._settings = settings
        self._truncator.max_bytes = settings.max_stored_text
        if self._jobs is not None:
            self._jobs.configure(settings)

    async def stop(self) -> int:
        """Write what is queued, and stop; returns how many records are lost by that."""
        await self._stack.aclose()
        return self.stats.lost_at_end
