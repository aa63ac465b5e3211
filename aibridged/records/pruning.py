"""Incremental pruning of old rows, between the writer's other jobs."""

from collections import deque
from collections.abc import Callable

from aibridged.records.jobs import Prune, RecordingFailedError
from aibridged.records.store import DatabaseAwayError, Store

PRUNED_AT_ONCE = 50


class Pruning:
    """The prunes that were asked for, one after the other.

    `settle` tells who waits for one how it ended: with an error, or how many rows went.
    """

    def __init__(
        self, store: Store, settle: Callable[[Prune, RecordingFailedError | None], None]
    ) -> None:
        self._store = store
        self._settle = settle
        self._prunes: deque[Prune] = deque()

    def __len__(self) -> int:
        return len(self._prunes)

    def put(self, prune: Prune) -> None:
        """It is asked for."""
        self._prunes.append(prune)

    def go_on(self, *, database_away: bool) -> None:
        """Delete a few rows for the one that came first."""
        if not self._prunes:
            return
        prune = self._prunes[0]
        try:
            if database_away:
                raise DatabaseAwayError
            deleted = self._store.prune(prune.before, PRUNED_AT_ONCE)
        except DatabaseAwayError:
            self._end(RecordingFailedError())
            return
        prune.deleted += deleted
        if deleted < PRUNED_AT_ONCE:
            self._end()

    def give_up(self) -> None:
        """There is no time for those that wait."""
        while self._prunes:
            self._end(RecordingFailedError())

    def _end(self, error: RecordingFailedError | None = None) -> None:
        self._settle(self._prunes.popleft(), error)
