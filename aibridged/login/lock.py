"""A lock between processes: a file that only one of them can create, on any file system.

A process that is killed leaves the file behind, so it counts for `held_at_most` seconds only: the
holder has to be done by then. Two that take over an outdated lock in the same instant may both hold
it. That is no harm here: the gateway gives both the same successor of a refresh token.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from .clock import Clock
from .folders import remove_file

_PAUSE_S = 0.05


class Lock:
    """A lock file; each object is one holder or waiter."""

    def __init__(self, path: Path, clock: Clock, *, held_at_most: float) -> None:
        self._path, self._clock, self._held_at_most = path, clock, held_at_most
        self._mark = secrets.token_hex(16).encode()

    def try_acquire(self) -> bool:
        """Take the lock unless another process has it."""
        for _ in range(2):
            try:
                handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                if not self._is_outdated():
                    return False
                with suppress(OSError):
                    remove_file(self._path)
                continue
            except PermissionError:
                if os.name != "nt":
                    raise
                # Another process is about to remove it.
                return False
            with os.fdopen(handle, "wb") as file:
                file.write(self._mark)
            return True
        return False

    def acquire(self, seconds: float) -> bool:
        """Wait for the lock; False when the time is up."""
        deadline = self._clock.monotonic() + seconds
        while not self.try_acquire():
            if self._clock.monotonic() >= deadline:
                return False
            self._clock.sleep(_PAUSE_S)
        return True

    def release(self) -> None:
        """Give the lock back, unless it was taken over meanwhile."""
        with suppress(OSError):
            if self._path.read_bytes() == self._mark:
                remove_file(self._path)

    def _is_outdated(self) -> bool:
        try:
            age = self._clock.now() - self._path.stat().st_mtime
        except FileNotFoundError:
            return True
        # One from the future is left from before the clock was set back.
        return abs(age) > self._held_at_most
