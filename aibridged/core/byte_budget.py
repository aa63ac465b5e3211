"""How many bytes of request bodies may be in memory, of all callers and of each."""

from collections.abc import Hashable
from enum import Enum, auto

from aibridged.errors import AT_CAPACITY, GatewayError

SHARE = 4
"""No caller takes more than one part in so many, but a body of any allowed size."""


_BUSY = "The bodies of all requests in flight hold as much memory as they may."
_CALLER_BUSY = "The bodies of your requests in flight hold as much memory as one caller's may."


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


class Hold:
    """The memory that one request's body takes out of the budget."""

    __slots__ = ("_budget", "_caller", "_size")

    def __init__(self, budget: ByteBudget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._size = 0

    def take(self, size: int) -> None:
        """Take so many bytes more.

        Raises:
            GatewayError: the caller, or all of them together, hold as many as they may.
        """
        shortage = self._budget.take(self._caller, size)
        if shortage is not None:
            sentence = _BUSY if shortage is Shortage.ALL else _CALLER_BUSY
            raise GatewayError(AT_CAPACITY, sentence, retry_after=1)
        self._size += size

    def release(self) -> None:
        """Give all of it back. The second time, do nothing."""
        if self._size:
            self._budget.release(self._caller, self._size)
            self._size = 0
