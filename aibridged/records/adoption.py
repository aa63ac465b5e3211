"""What dead recorders have left: facts in their journals, and interceptions that are open."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from loguru import logger

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.records.facts import Fact
from aibridged.records.jobs import Adopt, RecordingFailedError
from aibridged.records.journal import Journal
from aibridged.records.spool import SpoolError
from aibridged.records.stats import RecorderStats
from aibridged.records.store import DatabaseAwayError, Store


class Adoption:
    """Writes it, from the writer's thread.

    `left_behind` finds the journals; `write` writes facts, and `settle` resolves futures.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        stats: RecorderStats,
        left_behind: Callable[[], Sequence[Path]],
        write: Callable[[Sequence[Fact]], None],
        settle: Callable[[Sequence[asyncio.Future[None]], Exception | None], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._stats = stats
        self._left_behind = left_behind
        self._write = write
        self._settle = settle
        self._asked: list[Adopt] = []

    def put(self, adopt: Adopt) -> None:
        """Have `go_on` do it."""
        self._asked.append(adopt)

    def go_on(self, *, database_away: bool) -> DatabaseAwayError | None:
        """Do what was asked for; returns the error of a database that failed now."""
        if not self._asked:
            return None
        asked, self._asked = self._asked, []
        failed: RecordingFailedError | None = RecordingFailedError()
        away = None
        try:
            if not database_away:
                self.run()
                failed = None
        except DatabaseAwayError as error:
            away = error
        except (OSError, SpoolError) as error:
            logger.error("The journal of a process that has ended can't be replayed: {}", error)
        self._settle([each.adopted for each in asked], failed)
        return away

    def run(self) -> None:
        """Replay and remove the journals, and end as interrupted what is open.

        Raises:
            DatabaseAwayError, SpoolError, OSError: not all of it is done.
        """
        for path in self._left_behind():
            journal = Journal(path)
            journal.open()
            try:
                self.replay(journal)
            finally:
                journal.close()
            path.unlink()
        interrupted = self._store.close_left_open(self._clock.wall())
        if interrupted:
            marked = counted(interrupted, "interception")
            logger.warning("Marked {} as interrupted by an earlier crash", marked)

    def replay(self, journal: Journal) -> None:
        """Write what a recorder knew and hadn't committed when it was killed."""
        for facts in journal.read():
            self._write(facts)
            self._stats.records_replayed += len(facts)
        if journal.lost:
            lines = counted(journal.lost, "unreadable line")
            logger.error("The journal has lost {}", lines)
            self._stats.records_lost += journal.lost
