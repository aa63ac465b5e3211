"""A bounded count of places, bytes or whatever else callers share, of which none takes all."""

from collections.abc import Hashable
from enum import Enum, auto


class Shortage(Enum):
    """Whose share is used up."""

    ALL = auto()
    CALLER = auto()


class Shares:
    """Counts what callers hold: all together `total` at the most, and each of them `each`.

    Both may be changed at any time. Below what is held, nothing is taken away: it is given back
    first, until there is room again. Nothing is kept of callers that hold nothing.
    """

    def __init__(self, total: int, each: int) -> None:
        self.total = total
        self.each = each
        self._held: dict[Hashable, int] = {}
        self._sum = 0

    @property
    def held(self) -> int:
        """What all of them hold."""
        return self._sum

    def shortage(self, caller: Hashable, amount: int = 1) -> Shortage | None:
        """Why so much more can't be held for a caller, if it can't."""
        if self._sum + amount > self.total:
            return Shortage.ALL
        return Shortage.CALLER if self._held.get(caller, 0) + amount > self.each else None

    def take(self, caller: Hashable, amount: int = 1) -> Shortage | None:
        """Hold so much more for a caller, or say why not."""
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
