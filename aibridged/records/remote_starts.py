"""The starts that a worker has asked another process to commit, until they are settled."""

from collections.abc import Callable, Iterator, Sequence

from aibridged.clock import Clock
from aibridged.records.facts import InterceptionEnd, InterceptionStart, refused_end
from aibridged.records.jobs import BudgetExceededError, RecordingFailedError, Waiting, settle
from aibridged.records.remote_frames import Settled
from aibridged.records.stalled_starts import StalledStarts
from aibridged.records.stats import RecorderStats


class RemoteStarts:
    """Starts in the order in which they came. For the event loop.

    One that hasn't been answered for `stall` seconds is refused. Starts whose requests don't go
    upstream, and which are or may be recorded, have to be ended: `end` is called with their ends.
    """

    def __init__(
        self,
        clock: Clock,
        stats: RecorderStats,
        end: Callable[[InterceptionEnd], None],
        stall: float,
    ) -> None:
        self._stats = stats
        self._end = end
        self._unsent: list[Waiting] = []
        self._asked: dict[int, Sequence[Waiting]] = {}  # by the number of their batch
        self._given_up: dict[str, InterceptionEnd] = {}
        self._queued = StalledStarts(
            clock, stats, "The process that writes the records", stall=stall
        )

    @property
    def are_unsent(self) -> bool:
        """Whether there are any to be sent."""
        return bool(self._unsent)

    @property
    def are_asked(self) -> bool:
        """Whether any batch isn't answered."""
        return bool(self._asked)

    def put(self, one: Waiting, now: float) -> None:
        """Append one, to be sent."""
        self._unsent.append(one)
        self._queued.put(one, now)

    def take(self) -> list[Waiting]:
        """Those to be sent now, without those that are refused already, or given up."""
        starts, self._unsent = self._unsent, []
        for one in starts:
            if one.committed.done() and one.start.id in self._given_up:
                del self._given_up[one.start.id]
        return [one for one in starts if not one.committed.done()]

    def asked(self, number: int, starts: Sequence[Waiting]) -> None:
        """They are sent, in the batch of this number."""
        self._asked[number] = starts

    def give_up(self, end: InterceptionEnd) -> None:
        """The end of a start whose answer is no longer waited for."""
        self._given_up[end.interception_id] = end

    def settle(self, settled: Settled) -> Iterator[tuple[InterceptionStart, Sequence[int]]]:
        """Tell those who wait what became of a batch; returns what is recorded, and what was used
        before, for each check of its reservation."""
        starts = self._asked.pop(settled.number, ())
        for one, result in zip(starts, settled.results or [_PLAIN] * len(starts), strict=True):
            end = self._given_up.pop(one.start.id, None) if self._given_up else None
            if result is None:
                self._refuse(one)
            elif not result[0]:
                settle([one.committed], BudgetExceededError(result[1]))
            else:
                yield one.start, result[1]
                if one.committed.done():
                    self._end(end or refused_end(one.start))
                else:
                    one.committed.set_result(result[1])

    def refuse_all(self) -> None:
        """Refuse all. What was sent may be recorded, so it is ended."""
        asked, self._asked = self._asked, {}
        for starts in asked.values():
            for one in starts:
                end = self._given_up.pop(one.start.id, None) if self._given_up else None
                self._end(end or refused_end(one.start))
                self._refuse(one)
        for one in self.take():
            self._refuse(one)

    def close(self) -> None:
        """Look after nothing any more."""
        self._queued.close()

    def _refuse(self, one: Waiting) -> None:
        if not one.committed.done():
            self._stats.starts_refused += 1
            settle([one.committed], RecordingFailedError())


_PLAIN = (True, ())
