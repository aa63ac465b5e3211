"""Makes the recorder: its store, spool and journal, and who is told of each record."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from contextvars import Context
from functools import partial
from pathlib import Path

from loguru import logger

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.daemon.group_jobs import GroupJobs
from aibridged.daemon.workers.siblings import Siblings
from aibridged.daemon.workers.writer_socket import connect, has_writer
from aibridged.pipeline.trace import Traces
from aibridged.records.database import Engine
from aibridged.records.facts import Record
from aibridged.records.journal import JOURNAL_FILE, Journal
from aibridged.records.recorder import Recorder
from aibridged.records.recording import Recording
from aibridged.records.remote_journal import WorkerJournal, left_behind
from aibridged.records.remote_recorder import RemoteRecorder
from aibridged.records.spool import SPOOL_FILE, Spool
from aibridged.records.store import Store, new_recorder_id
from aibridged.records.structured_log import log_record
from aibridged.records.truncation import Truncator

OnRecord = Callable[[Record], None]


async def make_recorder(
    settings: Settings,
    engine: Engine,
    clock: Clock,
    truncator: Truncator,
    stack: AsyncExitStack,
    traces: Traces | None,
    siblings: Siblings,
) -> tuple[Recording, GroupJobs | None]:
    """The open recorder, and what this process does for all that share the record.

    The first of several workers does that, since it is the one that is there with any number; on
    SQLite it is the writer process, which has the connection that prunes. `stack` closes both.

    Raises:
        DatabaseError, DatabaseAwayError, SpoolError, OSError: the records can't be kept.
    """
    on_record = _on_record(settings, traces)
    if has_writer(settings, siblings.count):
        remote = _remote_recorder(settings, clock, truncator, on_record)
        await remote.open()
        stack.push_async_callback(remote.close)
        return remote, None

    is_sqlite = settings.postgres_url is None

    def recorder(slot: int) -> Recorder:
        return Recorder(
            Store(engine, clock),
            Spool(settings.state_dir / _of_slot(SPOOL_FILE, slot)),
            Journal(settings.state_dir / _of_slot(JOURNAL_FILE, slot)),
            clock,
            truncator=truncator,
            on_record=on_record,
            # They were SQLite's.
            left_behind=partial(left_behind, settings.state_dir) if is_sqlite else tuple,
        )

    if siblings.slot == 1:
        for slot in _abandoned(settings.state_dir, siblings.count):
            await _adopt(recorder(slot), settings.state_dir, slot)
    made = recorder(siblings.slot)
    await made.open()
    stack.push_async_callback(made.close)
    return made, GroupJobs(engine, clock, made.prune, stack) if siblings.slot == 1 else None


def _remote_recorder(
    settings: Settings, clock: Clock, truncator: Truncator, on_record: OnRecord | None
) -> RemoteRecorder:
    """That of a worker whose records the writer process writes."""
    recorder_id = new_recorder_id()
    return RemoteRecorder(
        partial(connect, settings.state_dir),
        recorder_id,
        WorkerJournal(settings.state_dir, recorder_id),
        clock,
        truncator=truncator,
        on_record=on_record,
    )


def _on_record(settings: Settings, traces: Traces | None) -> OnRecord | None:
    listeners: list[OnRecord] = []
    if settings.structured_logging:
        listeners.append(_log_record)
    if traces is not None:
        listeners.append(traces.committed)

    def on_record(record: Record) -> None:
        for listener in listeners:
            listener(record)

    return on_record if listeners else None


async def _adopt(recorder: Recorder, state_dir: Path, slot: int) -> None:
    """Write what a worker with a higher number has left, of an earlier group with more of them."""
    await recorder.open()
    await recorder.close()
    logger.info("Took over the spool and the journal of the former worker {}", slot)
    for name in (SPOOL_FILE, JOURNAL_FILE):
        (state_dir / _of_slot(name, slot)).unlink(missing_ok=True)


def _abandoned(state_dir: Path, count: int) -> Iterator[int]:
    """The numbers of those workers that have left a spool, and have no successor."""
    stem, _, suffix = SPOOL_FILE.rpartition(".")
    for path in sorted(state_dir.glob(f"{stem}-*.{suffix}")):
        number = path.stem.removeprefix(f"{stem}-")
        if number.isdecimal() and int(number) > count:
            yield int(number)


def _of_slot(name: str, slot: int) -> str:
    """The name of a worker's own file; the first one's is that of a process that serves alone."""
    stem, _, suffix = name.rpartition(".")
    return name if slot == 1 else f"{stem}-{slot}.{suffix}"


def _log_record(record: Record) -> None:
    # Records of several requests are committed together, possibly in the context of one of them.
    Context().run(log_record, record)
