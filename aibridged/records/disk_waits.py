"""Whether commits wait for the disk, which the event loop must not.

A commit is a write to memory, but a disk that is behind with what was written before makes it wait.
On a busy machine it takes as long for want of a core: then the thread that runs wasn't blocked, and
another thread wouldn't get one sooner.
"""

import resource

SLOW_S = 0.02
"""A commit on the event loop that takes longer, and was blocked meanwhile, waits for the disk."""
SHUN_S = 5.0
"""How long commits are then left to the writer's thread, so that streams don't stall."""
ASK_S = 60.0
"""How long after a slow commit the next ones are looked at."""

_THREAD = getattr(resource, "RUSAGE_THREAD", None)  # Linux has it


class DiskWaits:
    """The waits for the disk of one thread's commits; times are monotonic, in seconds.

    Whether it was blocked is only asked for a while after a slow one, since asking costs as much as
    a tenth of a commit: the second one of these is told.
    """

    def __init__(self) -> None:
        self._shun_until = self._ask_until = float("-inf")
        self._blocked: int | None = None

    def begin(self, now: float) -> bool:
        """Whether this thread may commit now."""
        if now < self._shun_until:
            return False
        self._blocked = _times_blocked() if now < self._ask_until else None
        return True

    def end(self, began: float, now: float) -> None:
        """Note how long the commit took."""
        if now - began > SLOW_S:
            self._ask_until = now + ASK_S
            if self._blocked is not None and (_THREAD is None or _times_blocked() > self._blocked):
                self._shun_until = now + SHUN_S


def _times_blocked() -> int:
    """How often this thread has given up the processor to wait."""
    return 0 if _THREAD is None else resource.getrusage(_THREAD).ru_nvcsw
