"""FIFO queue of facts to be written."""

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

from aibridged.records.facts import Fact, InterceptionEnd, InterceptionStart, ToolUsageRecord


class FactQueue:
    """A queue that the event loop appends to, and the writer drops from once it has written.

    Both may do so at the same time, since a thread writes, too. Facts are counted by caller.
    """

    def __init__(self) -> None:
        self._facts: list[Fact] = []
        self._callers: list[str] = []  # of the facts
        self._counts: defaultdict[str, int] = defaultdict(int)  # the same, counted
        self._counting = threading.Lock()

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, facts: Sequence[Fact], initiator_id: str = "") -> int:
        """Append facts; returns how many are queued."""
        count = len(facts)
        with self._counting:
            self._counts[initiator_id] += count
            self._callers += (initiator_id,) * count
        self._facts.extend(facts)
        return len(self._facts)

    def waiting_of(self, initiator_id: str) -> int:
        """How many queued facts are of one caller's requests."""
        return self._counts.get(initiator_id, 0)

    def has_room_for(self, initiator_id: str, queued: int, limit: int) -> bool:
        """Whether a caller's start may be queued, where so many starts and facts are.

        In the upper half of the limit a caller may have a tenth of it, in facts.
        """
        if queued < limit // 2:
            return True
        return queued < limit and self.waiting_of(initiator_id) < limit // 10

    def all(self) -> Sequence[Fact]:
        """All queued facts."""
        return tuple(self._facts)

    def first(self, most: int) -> Sequence[Fact]:
        """The first facts, about this many: those recorded with an end stay with it."""
        facts = self.all()
        for count in range(most, len(facts)):
            if isinstance(facts[count - 1], InterceptionEnd):
                return facts[:count]
        return facts

    def drop(self, count: int) -> None:
        """Remove the first facts: they are written, or kept elsewhere."""
        del self._facts[:count]
        with self._counting:
            for initiator_id, dropped in Counter(self._callers[:count]).items():
                self._counts[initiator_id] -= dropped
                if not self._counts[initiator_id]:
                    del self._counts[initiator_id]
            del self._callers[:count]

    def come_before(self, starts: Sequence[InterceptionStart]) -> bool:
        """Whether they are to be written with these starts, to tell what has been spent by then."""
        if not self._facts:
            return False
        if any(start.reservation is not None for start in starts):
            return True
        return self.are_continued_by(starts)

    def are_continued_by(self, starts: Sequence[InterceptionStart]) -> bool:
        """Whether one of the starts continues a tool call that is queued here."""
        calls = [start.tool_result_ids[-1] for start in starts if start.tool_result_ids]
        return bool(calls) and any(
            isinstance(fact, ToolUsageRecord) and fact.provider_tool_call_id in calls
            for fact in self.all()
        )
