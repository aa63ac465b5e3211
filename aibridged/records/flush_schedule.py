"""Schedule of fsync and WAL checkpoints: bounds what a power cut may cost.

What is committed is flushed soon; checkpoints, which write it once more, are rare.
"""

FLUSH_S = 0.5
"""Seconds of commits that a power cut may lose."""
CHECKPOINT_S = 5.0
"""Seconds of commits that the next start may have to replay after a crash."""


class DiskSchedule:
    """The next flush and checkpoint, in monotonic time; a commit schedules them."""

    def __init__(self) -> None:
        self._flush_due: float | None = None
        self._checkpoint_due: float | None = None

    def committed(self, now: float) -> bool:
        """Note a commit; returns whether nothing was due before it."""
        if self._checkpoint_due is None:
            self._checkpoint_due = now + CHECKPOINT_S
        if self._flush_due is not None:
            return False
        self._flush_due = now + FLUSH_S
        return True

    def seconds_left(self, now: float) -> float | None:
        """Seconds until something is due; None where nothing was committed."""
        due = [at for at in (self._flush_due, self._checkpoint_due) if at is not None]
        return max(0.0, min(due) - now) if due else None

    def flush_is_due(self, now: float) -> bool:
        """Whether to flush now; true once. Later commits are for the next flush."""
        if self._flush_due is None or now < self._flush_due:
            return False
        self._flush_due = None
        return True

    def checkpoint_is_due(self, now: float) -> bool:
        """Whether to checkpoint now; true once. A checkpoint flushes, too."""
        if self._checkpoint_due is None or now < self._checkpoint_due:
            return False
        self._flush_due = self._checkpoint_due = None
        return True
