"""The facts that a worker has still to send, in their order, with their texts truncated."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from loguru import logger

from aibridged.counted import counted
from aibridged.records.facts import Fact
from aibridged.records.jobs import RecordingFailedError, Waiting, settle
from aibridged.records.remote_frames import MAX_BATCH_TEXT, encodable
from aibridged.records.stats import RecorderStats
from aibridged.records.truncation import MAX_ENCODED, TEXTS, Truncator
from aibridged.tasks import Tasks

FACTS_AT_ONCE = 256
"""Facts that are sent together."""


class Outbox:
    """A queue of facts. `on_ready` is called when those that were being truncated can be taken."""

    def __init__(self, truncator: Truncator, on_ready: Callable[[], None]) -> None:
        self._truncator = truncator
        self._on_ready = on_ready
        self._facts: deque[Fact] = deque()
        self._truncated: list[Fact] = []
        self._truncation: asyncio.Task[None] | None = None
        self._tasks = Tasks()

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._facts or self._truncated or self._truncation is not None)

    def put(self, facts: Sequence[Fact]) -> None:
        """Append facts."""
        self._facts += facts

    def reset(self, facts: Sequence[Fact]) -> None:
        """Have these to send, and nothing else."""
        if self._truncation is not None:
            self._truncation.cancel()
            self._truncation = None
        self._truncated = []
        self._facts = deque(facts)

    def take(self) -> list[Fact] | None:
        """The next facts, as many as fit into a batch; None while they are being truncated."""
        if self._truncation is not None:
            return None
        if self._truncated:
            facts, self._truncated = self._truncated, []
            return facts
        facts, length, longest = [], 0, 0
        waiting = self._facts
        while waiting and len(facts) < FACTS_AT_ONCE:
            fact = waiting[0]
            if (names := TEXTS.get(type(fact))) is not None:
                for name, _ in names:
                    characters = len(getattr(fact, name) or "")
                    length += characters
                    longest = max(longest, characters)
                if facts and length > MAX_BATCH_TEXT:
                    break
            facts.append(fact)
            waiting.popleft()
        if longest * MAX_ENCODED > self._truncator.max_bytes and self._truncator.may_truncate(
            *facts
        ):
            self._truncation = self._tasks.start(self._truncate(facts), "truncation")
            return None
        return facts

    async def _truncate(self, facts: Sequence[Fact]) -> None:
        truncator = self._truncator
        self._truncated = [
            await truncator.truncate_in_thread(each) if truncator.may_truncate(each) else each
            for each in facts
        ]
        self._truncation = None
        self._on_ready()


def sendable(
    waiting: Sequence[Waiting], facts: Sequence[Fact], stats: RecorderStats
) -> tuple[Sequence[Waiting], list[Fact]]:
    """What a frame can carry of a batch; of the rest, starts are refused, and facts are lost."""
    starts = []
    for one in waiting:
        if (start := encodable(one.start)) is not None:
            starts.append(Waiting(start, one.committed))
        else:
            stats.starts_refused += 1
            settle([one.committed], RecordingFailedError())
    kept = [fact for fact in map(encodable, facts) if fact is not None]
    if lost := len(facts) - len(kept):
        stats.records_lost += lost
        logger.error("{} can't be sent to be stored, and lost", counted(lost, "record"))
    return starts, kept
