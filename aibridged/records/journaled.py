"""What recorders have in common: facts are in a journal before they wait for their commit."""

import asyncio
from collections.abc import Sequence

from loguru import logger

from aibridged.counted import counted
from aibridged.records.facts import Fact, UserPromptRecord
from aibridged.records.journal import Journal
from aibridged.records.stats import RecorderStats


class JournaledRecorder:
    """The base of recorders, for the event loop: `who` commits what the journal holds meanwhile."""

    _loop: asyncio.AbstractEventLoop

    def __init__(self, journal: Journal, stats: RecorderStats, who: str) -> None:
        self.stats = stats
        self._journal = journal
        self._who = who
        self._journal_is_due = False
        self._closed = False

    @property
    def unjournaled(self) -> int:
        """How many facts a kill would have taken before their commit: the journal had no room."""
        return self._journal.missed_total

    @property
    def journal_bytes(self) -> int:
        """The bytes of facts in the journal, which may be committed already."""
        return self._journal.size

    def _takes(self, facts: Sequence[Fact], *, together: bool = True) -> bool:
        """Put facts into the journal, a prompt `together` with the others of this turn of the loop.

        False: the recorder is closed, and they are lost.
        """
        if self._closed:
            self.stats.records_lost += len(facts)
            records = counted(len(facts), "record")
            logger.error("{} arrived after the recorder was closed", records)
            return False
        if together and facts and isinstance(facts[-1], UserPromptRecord):
            self._journal.hold(facts)
            if not self._journal_is_due:
                self._journal_is_due = True
                self._loop.call_soon(self._write_journal)
        else:
            self._journal.append(facts)
        return True

    def _write_journal(self) -> None:
        self._journal_is_due = False
        if not self._closed:
            self._journal.append(())

    def _leave_to_journal(self) -> None:
        lost = self._journal.missed
        logger.error(
            "{} does not answer: what waits is in the journal and will be recorded at the next"
            " start, but for {} lost",
            self._who,
            counted(lost, "record, which is", "records, which are"),
        )
        self.stats.lost_at_end += lost
        self.stats.records_lost += lost
