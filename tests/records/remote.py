"""A server of records and its workers in one process, for the tests of both."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.records.group_recorder import GroupRecorder
from aibridged.records.remote_journal import (
    JournalsElsewhere,
    WorkerJournal,
    is_living,
    left_behind,
)
from aibridged.records.remote_recorder import RemoteRecorder
from aibridged.records.remote_server import RecordServer
from aibridged.records.spool import SPOOL_FILE, Spool
from aibridged.records.store import Store, new_recorder_id


class Group:
    """The writer's side, which can be stopped and started again, and workers."""

    def __init__(self, database, clock) -> None:
        self.database = database
        self.state_dir: Path = database.state_dir
        self.clock = clock
        self.server: RecordServer | None = None
        self.workers: list[RemoteRecorder] = []
        self._listening: socket.socket | None = None

    async def start(self, **options) -> None:
        """Start the writer's side."""
        living = partial(is_living, self.state_dir)
        self.server = RecordServer(living, **{"adopt_every": 0.02, **options})
        self.recorder = GroupRecorder(
            Store(self.database.engine, self.clock, is_living=living),
            Spool(self.state_dir / SPOOL_FILE),
            JournalsElsewhere(self.server.released),
            SystemClock(),
            left_behind=partial(left_behind, self.state_dir),
            linger=0.005,
            retry_interval=0.02,
        )
        await self.recorder.open()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(self.state_dir / "s"))
        self._listening.listen()
        self.server.serve(self._listening, self.recorder)

    async def stop(self) -> None:
        """Stop the writer's side; workers lose their connections."""
        if self.server is None:
            return
        await self.server.close()
        self.server = None
        self._listening.close()
        (self.state_dir / "s").unlink()
        await self.recorder.close()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(str(self.state_dir / "s"))
        except OSError:
            connection.close()
            raise
        return connection

    def make_worker(self, **options) -> RemoteRecorder:
        """A worker that isn't open yet."""
        id = new_recorder_id()
        worker = RemoteRecorder(
            self.connect,
            id,
            WorkerJournal(self.state_dir, id),
            options.pop("clock", None) or SystemClock(),
            **{"linger": 0.005, "retry_interval": 0.01, **options},
        )
        worker.id = id
        self.workers.append(worker)
        return worker

    async def worker(self, **options) -> RemoteRecorder:
        """A worker that is open."""
        worker = self.make_worker(**options)
        await worker.open()
        return worker

    @contextmanager
    def holding_starts(self) -> Iterator[None]:
        """Within it starts arrive, and none is committed."""
        commit, self.recorder._commit_starts = self.recorder._commit_starts, lambda: None
        yield
        self.recorder._commit_starts = commit
        commit()

    async def lose(self, worker: RemoteRecorder) -> None:
        """End a worker as a kill would: its connection and its lock are gone, and nothing else."""
        self.workers.remove(worker)
        await worker._link.close()
        worker._starts.close()
        worker._journal.close()

    async def close(self) -> None:
        for worker in self.workers:
            await worker.close()
        await self.stop()
