"""Facts that wait to be written, in the order in which they came."""

from collections import deque
from collections.abc import Iterable, Sequence

from aibridged.records.facts import Fact, InterceptionEnd, InterceptionStart, ToolUsageRecord


class FactQueue:
    """The event loop puts facts in; whoever writes takes the first ones, and drops them then.

    Both may do so at the same time: a thread writes, too.
    """

    def __init__(self) -> None:
        self._facts: deque[Fact] = deque()

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, facts: Iterable[Fact]) -> None:
        """Let them wait behind the others."""
        self._facts.extend(facts)

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

    def are_continued_by(self, starts: Sequence[InterceptionStart]) -> bool:
        """Whether one of the starts answers a tool call that waits here."""
        calls = {call for start in starts if (call := start.correlating_tool_call_id)}
        return bool(calls) and any(
            isinstance(fact, ToolUsageRecord) and fact.provider_tool_call_id in calls
            for fact in self.all()
        )
