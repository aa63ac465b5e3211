"""File descriptors: limit and usage, and the log and counts of shortages.

They are the gateway's own resource: running out of them is no provider's fault.
"""

import errno
import os
import resource
import socket
from collections import Counter
from contextlib import suppress

from loguru import logger

from aibridged.clock import Clock
from aibridged.errors import AT_CAPACITY, GatewayError

MOST = 1 << 20
"""The hard limit may be a billion, which is never needed and which some libraries iterate over."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})
_LISTINGS = ("/proc/self/fd", "/dev/fd")
_LOG_EVERY_S = 10.0
_RETRY_S = 1
_MAX_CAUSES = 8


def raise_limit() -> int:
    """Raise the soft limit to the hard one; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems have a lower limit that they don't report.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """The process's limit of open descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)


def in_use() -> int:
    """The number of descriptors that are open."""
    for listing in _LISTINGS:
        with suppress(OSError):
            return len(os.listdir(listing)) - 1  # the listing's own
    return 0


def is_shortage(error: BaseException) -> bool:
    """Whether an error's cause is that the system has no descriptor, port or buffer left."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return False
        if isinstance(cause, socket.gaierror):
            # A resolver that can't open a socket reports that the server didn't respond.
            return cause.errno == socket.EAI_MEMORY or (
                cause.errno == socket.EAI_AGAIN and _none_left()
            )
        if isinstance(cause, OSError) and cause.errno in _OURS:
            return True
        cause = getattr(cause, "os_error", None) or cause.__cause__ or cause.__context__
    return False


def _none_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _OURS
    return False


def at_capacity() -> GatewayError:
    """The error for a caller whose request needs a descriptor that isn't there."""
    return GatewayError(
        AT_CAPACITY,
        "AI Bridge has run out of file descriptors. Please try again later.",
        retry_after=_RETRY_S,
    )


class Shortages:
    """Counts shortages by what was needed, and logs them at intervals."""

    def __init__(self, clock: Clock) -> None:
        self.counts = Counter({"clients": 0, "providers": 0})
        self._monotonic = clock.monotonic
        self._quiet_until = float("-inf")

    def no_place(self) -> None:
        """A client came when there was no place left."""
        self._note(
            "clients", "The limit of client connections is reached: new connections are refused"
        )

    def system_refused(self, what: str, error: BaseException) -> None:
        """The system had no descriptor, port or buffer for `what`."""
        self._note(what, f"Out of file descriptors, ports or buffers for {what}: {_reason(error)}")

    def _note(self, what: str, sentence: str) -> None:
        self.counts[what] += 1
        if self._monotonic() >= self._quiet_until:
            self._quiet_until = self._monotonic() + _LOG_EVERY_S
            logger.warning("{}. Raise the limit of open files (LimitNOFILE=, ulimit -n)", sentence)


def _reason(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else type(error).__name__
