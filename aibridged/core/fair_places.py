"""A fair semaphore with a bounded queue: slots for slow work, shared fairly between callers.

A caller has a few places at the most, so that the slow work of one never takes all of them, and a
few more may wait. Whoever waits gets a free place in turn, caller by caller: how much one has
waiting changes nothing for the others. With a place free, only callers who have all of theirs wait.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many may run and wait, in all and of each caller."""

    running: int
    running_each: int
    waiting: int
    waiting_each: int


class AllWaitError(Exception):
    """Too many wait, of all callers together."""


class CallerWaitsError(Exception):
    """The caller itself has too many waiting."""


class FairPlaces(Generic[T]):
    """Who runs and who waits; a ticket stands for what waits."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        """How many run."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def take(self, caller: str) -> bool:
        """Take a place if there is one for the caller."""
        if len(self) >= self._bounds.running or not self._may_run(caller):
            return False
        self._running[caller] += 1
        return True

    def wait(self, caller: str, ticket: T) -> None:
        """Wait for a place, since there is none.

        Raises:
            AllWaitError, CallerWaitsError: too many do.
        """
        own = self._waiting.get(caller, ())
        if len(own) >= self._bounds.waiting_each:
            raise CallerWaitsError
        if self.waiting >= self._bounds.waiting:
            raise AllWaitError
        self._waiting.setdefault(caller, deque()).append(ticket)

    def give_up(self, caller: str, ticket: T) -> None:
        """Wait no more; it may have had its turn just now."""
        own = self._waiting.get(caller)
        if own is not None and ticket in own:
            own.remove(ticket)
            if not own:
                del self._waiting[caller]

    def leave(self, caller: str) -> tuple[str, T] | None:
        """Give a place back; who has it now, if somebody waited for one."""
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        next_one = next(filter(self._may_run, self._waiting), None)
        if next_one is None:
            return None
        own = self._waiting.pop(next_one)
        ticket = own.popleft()
        if own:
            self._waiting[next_one] = own  # behind the others
        self._running[next_one] += 1
        return next_one, ticket

    def _may_run(self, caller: str) -> bool:
        return self._running[caller] < self._bounds.running_each
