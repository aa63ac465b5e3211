"""A bounded quantity that callers share, such as bytes or places, and none may use up."""

from collections.abc import Hashable
from enum import Enum, auto


class Shortage(Enum):
    """Whose share is used up: the caller's, or the total."""

    ALL = auto()
    CALLER = auto()


class Shares:
    """Counts what callers hold: at most `total` together, and `each` per caller.

    Both may be changed at any time. Nothing that is held is taken away: no share is free until
    enough has been given back. Callers that hold nothing take no memory.
    """

    def __init__(self, total: int, each: int) -> None:
        self.total = total
        self.each = each
        self._held: dict[Hashable, int] = {}
        self._sum = 0

    @property
    def held(self) -> int:
        """What all callers hold together."""
        return self._sum

    def shortage(self, caller: Hashable, amount: int = 1) -> Shortage | None:
        """Why so much more can't be taken for a caller; None if it can."""
        if self._sum + amount > self.total:
            return Shortage.ALL
        return Shortage.CALLER if self._held.get(caller, 0) + amount > self.each else None

    def take(self, caller: Hashable, amount: int = 1) -> Shortage | None:
        """Take so much more for a caller; returns the reason if it can't be."""
        held = self._held.get(caller, 0) + amount
        if self._sum + amount > self.total or held > self.each:
            return self.shortage(caller, amount)
        if amount:
            self._held[caller] = held
            self._sum += amount
        return None

    def release(self, caller: Hashable, amount: int = 1) -> None:
        """Give back what was taken."""
        self._sum -= amount
        left = self._held[caller] - amount
        if left:
            self._held[caller] = left
        else:
            del self._held[caller]
