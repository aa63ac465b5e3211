"""Schedule of fsync and of checkpoints of the write-ahead log: what a power cut may cost.

A flush needs nobody's patience, a checkpoint does: while it runs, nothing can be committed. So what
is committed is flushed soon, and checkpoints are rare.
"""

FLUSH_S = 0.5
"""How much a power cut may take."""
CHECKPOINT_S = 5.0
"""How much the next start may have to read again after a crash."""


class DiskSchedule:
    """What is due, by the monotonic clock; a commit makes it due, if it isn't already."""

    def __init__(self) -> None:
        self._flush_due: float | None = None
        self._checkpoint_due: float | None = None

    def committed(self, now: float) -> bool:
        """Note a commit; whether there was nothing to flush before it."""
        if self._checkpoint_due is None:
            self._checkpoint_due = now + CHECKPOINT_S
        if self._flush_due is not None:
            return False
        self._flush_due = now + FLUSH_S
        return True

    def seconds_left(self, now: float) -> float | None:
        """How long until something is due; None as long as nothing is committed."""
        due = [at for at in (self._flush_due, self._checkpoint_due) if at is not None]
        return max(0.0, min(due) - now) if due else None

    def flush_is_due(self, now: float) -> bool:
        """Whether to flush now: once. What is committed from here on is for the next one."""
        if self._flush_due is None or now < self._flush_due:
            return False
        self._flush_due = None
        return True

    def checkpoint_is_due(self, now: float) -> bool:
        """Whether to checkpoint now: once. It flushes, too."""
        if self._checkpoint_due is None or now < self._checkpoint_due:
            return False
        self._flush_due = self._checkpoint_due = None
        return True
