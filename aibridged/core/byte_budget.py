"""Memory budget for request bodies, in total and per caller."""

from aibridged.core.shares import Shares, Shortage
from aibridged.errors import AT_CAPACITY, GatewayError

SHARE = 4
"""Divisor of a caller's share, which is never less than the largest allowed body."""

_REFUSALS = {
    Shortage.ALL: "The memory budget for request bodies in flight is exhausted "
    "(--aibridge-max-inflight-bytes).",
    Shortage.CALLER: "Your share of the memory budget for request bodies in flight is exhausted.",
}


class ByteBudget(Shares):
    """Counts bytes. `total` bytes may be held; `largest` is the size limit of a single body."""

    def __init__(self, total: int, largest: int) -> None:
        super().__init__(total, 0)
        self.resize(total, largest)

    def resize(self, total: int, largest: int) -> None:
        """Change both. Nothing that is held already is taken away."""
        self.total = total
        self.each = max(total // SHARE, largest)


class Hold:
    """The share of the budget of one request's body."""

    __slots__ = ("_budget", "_caller", "_size")

    def __init__(self, budget: ByteBudget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._size = 0

    def take(self, size: int) -> None:
        """Take so many more bytes.

        Raises:
            GatewayError: the caller's share, or the budget, is used up.
        """
        shortage = self._budget.take(self._caller, size)
        if shortage is not None:
            raise GatewayError(AT_CAPACITY, _REFUSALS[shortage], retry_after=1)
        self._size += size

    def release(self) -> None:
        """Give everything back. A second call does nothing."""
        if self._size:
            self._budget.release(self._caller, self._size)
            self._size = 0
