"""FIFO queue of facts to be written."""

import threading
from collections import deque
from collections.abc import Sequence

from aibridged.records.facts import Fact, InterceptionEnd, InterceptionStart, ToolUsageRecord


class FactQueue:
    """The event loop puts facts in; whoever writes takes the first ones, and drops them then.

    Both may do so at the same time: a thread writes, too. Whose facts they are is counted.
    """

    def __init__(self) -> None:
        self._facts: deque[Fact] = deque()
        self._runs: deque[tuple[str, int]] = deque()  # whose the facts are, one after the other
        self._counts: dict[str, int] = {}
        self._counting = threading.Lock()

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, facts: Sequence[Fact], initiator_id: str = "") -> None:
        """Let them wait behind the others."""
        with self._counting:
            self._counts[initiator_id] = self._counts.get(initiator_id, 0) + len(facts)
            self._runs.append((initiator_id, len(facts)))
        self._facts.extend(facts)

    def waiting_of(self, initiator_id: str) -> int:
        """How many of them wait that are of one caller's requests."""
        return self._counts.get(initiator_id, 0)

    def all(self) -> Sequence[Fact]:
        """All that wait."""
        return tuple(self._facts)

    def first(self, most: int) -> Sequence[Fact]:
        """About so many: what was recorded with an end stays with it."""
        facts = self.all()
        for count in range(most, len(facts)):
            if isinstance(facts[count - 1], InterceptionEnd):
                return facts[:count]
        return facts

    def drop(self, count: int) -> None:
        """The first ones are written, or kept elsewhere."""
        for _ in range(count):
            self._facts.popleft()
        with self._counting:
            while count:
                initiator_id, run = self._runs.popleft()
                dropped = min(run, count)
                if dropped < run:
                    self._runs.appendleft((initiator_id, run - dropped))
                count -= dropped
                self._counts[initiator_id] -= dropped
                if not self._counts[initiator_id]:
                    del self._counts[initiator_id]

    def are_continued_by(self, starts: Sequence[InterceptionStart]) -> bool:
        """Whether one of the starts answers a tool call that waits here."""
        calls = {call for start in starts if (call := start.correlating_tool_call_id)}
        return bool(calls) and any(
            isinstance(fact, ToolUsageRecord) and fact.provider_tool_call_id in calls
            for fact in self.all()
        )
