"""Memory budget for request bodies, in total and per caller."""

from collections.abc import Hashable
from enum import Enum, auto

SHARE = 4
"""No caller takes more than one part in so many, but a body of any allowed size."""


class Shortage(Enum):
    """Whose bytes are used up."""

    ALL = auto()
    CALLER = auto()


class ByteBudget:
    """Counts bytes. `total` bytes may be held; `largest` is what a single body may have.

    Both may be changed at any time. Below what is held, nothing is taken away: bytes are given back
    first, until there is room again.
    """

    def __init__(self, total: int, largest: int) -> None:
        self.total = total
        self.largest = largest
        self._held: dict[Hashable, int] = {}
        self._sum = 0

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._sum

    def take(self, caller: Hashable, size: int) -> Shortage | None:
        """Hold `size` bytes more for a caller, or say why not."""
        held = self._held.get(caller, 0) + size
        if self._sum + size > self.total:
            return Shortage.ALL
        if held > max(self.total // SHARE, self.largest):
            return Shortage.CALLER
        self._held[caller] = held
        self._sum += size
        return None

    def release(self, caller: Hashable, size: int) -> None:
        """Give back what was taken."""
        self._sum -= size
        left = self._held[caller] - size
        if left:
            self._held[caller] = left
        else:
            del self._held[caller]
