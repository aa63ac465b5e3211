"""Concurrency limit: a semaphore that refuses instead of waiting."""


class Slots:
    """A counter with an upper bound; 0 means no bound, but slots are still counted.

    `limit` may be changed at any time. Nothing that is taken is taken away: no slot is free until
    enough have been given back.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._in_use = 0

    @property
    def in_use(self) -> int:
        """The number of slots taken."""
        return self._in_use

    def take(self, limit: int | None = None) -> bool:
        """Take a slot; false if all are taken. Each true needs one `release`.

        `limit` is in the place of its own, for this slot alone.
        """
        most = self.limit if limit is None else limit
        if most and self._in_use >= most:
            return False
        self._in_use += 1
        return True

    def release(self) -> None:
        """Give a slot back."""
        self._in_use -= 1
