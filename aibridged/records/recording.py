"""What a request needs of a recorder, whichever process writes what it records."""

from typing import Protocol

from aibridged.records.facts import Fact, InterceptionStart
from aibridged.records.stats import RecorderStats


class Recording(Protocol):
    """See `recorder.Recorder`; a worker on SQLite has a `remote_recorder.RemoteRecorder`."""

    stats: RecorderStats

    @property
    def queue_length(self) -> int: ...

    @property
    def unjournaled(self) -> int: ...

    @property
    def journal_bytes(self) -> int: ...

    async def start(self, start: InterceptionStart) -> tuple[int, ...]: ...

    def record(self, *facts: Fact, initiator_id: str = "") -> None: ...

    def finish_by(self, seconds: float) -> None: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...
