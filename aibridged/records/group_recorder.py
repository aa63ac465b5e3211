"""The recorder of a group of workers: in the process that writes what they hand over."""

import asyncio
from collections.abc import Sequence

from aibridged.records.jobs import Adopt, RecordingFailedError, Waiting, settle
from aibridged.records.recorder import GATHERING_TURNS, Recorder


class GroupRecorder(Recorder):
    """A recorder whose starts come from others, who have room for them and give up none."""

    def submit(self, waiting: Sequence[Waiting]) -> None:
        """Have starts committed; see `jobs.Place`."""
        if self._closed or self.stats.refuses:
            self.stats.starts_refused += len(waiting)
            settle([one.committed for one in waiting], RecordingFailedError())
            return
        self._started += len(waiting)
        is_first = not self._starts
        self._starts += waiting
        if is_first:
            self._loop.call_soon(self._gather, 0, GATHERING_TURNS)

    def flush(self) -> None:
        """Commit the facts that are queued now, instead of in a moment."""
        if self._facts and not self._closed:
            self._work.put(None)

    async def adopt(self) -> None:
        """Write what dead recorders have left in their journals, and end what they left open.

        Raises:
            RecordingFailedError: not all of it is done; it can be asked for again.
        """
        if self._closed:
            raise RecordingFailedError
        self._commit_starts()  # theirs, too
        adopted: asyncio.Future[None] = self._loop.create_future()
        self._work.put(Adopt(adopted))
        await adopted
