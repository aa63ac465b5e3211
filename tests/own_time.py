"""Time as processes have it: without what they waited for a processor that others kept busy.

So a promise about time is judged by what its keepers did with it, whatever else the machine does.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import perf_counter


def waited(pids: Iterable[int]) -> float:
    """Seconds for which threads of these processes were ready to run, and had no processor."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                total += int(task.read_text().split()[1])
    return total / 1e9


class OwnTime:
    """Measures the own time of these processes, or else of this one, from now on."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids or (os.getpid(),)
        self._waited = waited(self._pids)
        self._began = perf_counter()

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        took = perf_counter() - self._began
        return max(0.0, took - (waited(self._pids) - self._waited))
