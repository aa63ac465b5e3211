"""Concurrency limit: a semaphore that refuses instead of waiting."""


class Slots:
    """A counter with an upper bound; 0 means no bound, and the count is kept all the same.

    `limit` may be changed at any time. Below what is taken, it takes nothing away: slots are
    given back first, until there is room again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._in_use = 0

    @property
    def in_use(self) -> int:
        """Slots taken now."""
        return self._in_use

    def take(self) -> bool:
        """Take a slot; false where all are taken. Each true needs one `release`."""
        if self.limit and self._in_use >= self.limit:
            return False
        self._in_use += 1
        return True

    def release(self) -> None:
        """Give a slot back."""
        self._in_use -= 1
