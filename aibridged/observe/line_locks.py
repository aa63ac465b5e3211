"""Keeps log lines whole that several processes write to one pipe, socket or terminal.

The system writes up to `PIPE_BUF` bytes to a pipe in one piece, and longer ones in several. So who
writes a longer line takes a lock exclusively, and the others take it together: short lines never
wait for each other. It is a lock on a file without a name that the processes inherit: the system
releases it when its holder dies. A holder that is stopped half-way keeps it for `PATIENCE_S`.
"""

import fcntl
import os
import threading
from collections.abc import Mapping
from contextlib import suppress

PATIENCE_S = 30.0
"""Longer than the supervisor takes to kill a process that was stopped."""

_TRIES = 30
_PAUSE_S = 0.002
_sleep = threading.Event().wait

_SHARED: dict[int, int] = {}


def share_lines(locks: Mapping[int, int]) -> None:
    """Share standard output (1) and error (2) with processes that have the same files as locks.

    It is for outputs that are opened from now on.
    """
    _SHARED.clear()
    _SHARED.update(locks)


def make_locks() -> Mapping[int, int]:
    """Locks for processes that inherit them: one for each stream, and one where both are one."""
    both = False
    with suppress(OSError):  # one of them is closed
        both = os.path.sameopenfile(1, 2)
    stderr = os.memfd_create("log lines")
    return {1: stderr if both else os.memfd_create("log lines"), 2: stderr}


def line_lock(stream: int) -> "LineLock | None":
    """The lock of a standard stream; None where no other process writes lines there."""
    shared = _SHARED.get(stream)
    return None if shared is None else LineLock(shared)


class LineLock:
    """The lock of one output, for one thread at a time."""

    def __init__(self, shared: int) -> None:
        # Opened again: locks belong to open file descriptions.
        self._file = os.open(f"/proc/self/fd/{shared}", os.O_RDWR)
        self._is_held = False

    @property
    def is_held(self) -> bool:
        return self._is_held

    def take(self, *, alone: bool, wait: bool) -> bool:
        """Take it, alone or together with others who don't need it alone; false: others have it.

        With `wait` it is true in the end: then what is written goes between the others' pieces.
        """
        how = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB
        for _ in range(_TRIES):
            if self._try(how):
                return True
        if not wait:
            return False
        for _ in range(int(PATIENCE_S / _PAUSE_S)):
            _sleep(_PAUSE_S)
            if self._try(how):
                return True
        return True

    def release(self) -> None:
        if self._is_held:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._is_held = False

    def close(self) -> None:
        os.close(self._file)

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how)
        except BlockingIOError:
            return False
        self._is_held = True
        return True
