"""Spooling of facts while the database is unavailable, and their replay."""

from collections.abc import Callable, Sequence

from loguru import logger

from aibridged.records.facts import Fact
from aibridged.records.spool import Spool
from aibridged.records.stats import RecorderStats


class Spooling:
    """Keeps facts in the spool, or in memory as long as that can't be written either."""

    def __init__(self, spool: Spool, stats: RecorderStats) -> None:
        self._spool = spool
        self._stats = stats
        self._unsaved: list[Fact] = []

    def open(self) -> None:
        """Claim the spool.

        Raises:
            SpoolError, OSError: it can't be used.
        """
        self._spool.open()

    def save(self, facts: Sequence[Fact]) -> None:
        """Spool the facts, with those that couldn't be spooled before."""
        self._unsaved += facts
        if not self._unsaved:
            return
        try:
            self._spool.append(self._unsaved)
        except OSError as error:
            logger.error(
                "The spool can't be written, {} records are kept in memory: {}",
                len(self._unsaved),
                error.strerror,
            )
            return
        self._stats.records_spooled += len(self._unsaved) - self._spool.lost
        self._count_lost_lines()
        self._stats.spool_bytes = self._spool.size
        self._unsaved = []

    def replay(self, write: Callable[[Sequence[Fact]], None]) -> None:
        """Give `write` all facts, the spool's first; let go of them when it has taken them.

        Raises what `write` does, and OSError if the spool can't be read or emptied.
        """
        if self._spool.size:
            for facts in self._spool.read():
                write(facts)
                self._stats.records_replayed += len(facts)
            self._count_lost_lines()
            self._spool.clear()
            self._stats.spool_bytes = 0
        write(self._unsaved)
        self._unsaved = []

    def close(self) -> None:
        """Let go of the spool; what is only in memory is lost now."""
        if self._unsaved:
            self._stats.records_lost += len(self._unsaved)
            logger.error(
                "{} records are lost: neither the database nor the spool accepted them",
                len(self._unsaved),
            )
        self._spool.close()

    def _count_lost_lines(self) -> None:
        lost, self._spool.lost = self._spool.lost, 0
        if lost:
            logger.error("{} lines of the spool are unreadable or unwritable, and lost", lost)
            self._stats.records_lost += lost
