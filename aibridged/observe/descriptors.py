"""File descriptors: how many there are, and what is logged when they run out.

They are the gateway's own resource: that there is none left is no provider's fault.
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
"""The hard limit may be a billion, which nobody needs and some libraries iterate over."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})
_LISTINGS = ("/proc/self/fd", "/dev/fd")
_LOG_EVERY_S = 10.0
_RETRY_S = 1
_MAX_CAUSES = 8


def raise_limit() -> int:
    """Raise the soft limit to the hard one; returns how many descriptors there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems have a lower limit that they don't tell of.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)


def in_use() -> int:
    """How many descriptors this process has."""
    for listing in _LISTINGS:
        with suppress(OSError):
            return len(os.listdir(listing)) - 1  # the listing's own
    return 0


def is_shortage(error: BaseException) -> bool:
    """Whether an error is at bottom that this system has no descriptor, port or buffer left."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return False
        if isinstance(cause, socket.gaierror):
            # A resolver that can open no socket says that the server didn't answer.
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
    """What a caller is told who would need what there is none of."""
    return GatewayError(
        AT_CAPACITY,
        "AI Bridge has run out of file descriptors. Please try again later.",
        retry_after=_RETRY_S,
    )


class Shortages:
    """Counts how often something was short, by what it was for, and says so now and then."""

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
