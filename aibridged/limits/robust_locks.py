"""Locks between processes that no process can keep for ever: robust mutexes in shared memory.

A mutex of the C library costs no system call while it is free, and the kernel gives it back when
its holder dies, whatever it was doing; what it has half written is a matter of those who write
(see `region`). A holder that has no processor keeps it, and so does one that is stopped. Nothing
waits for longer than `WAIT_S`, nor more often than each `PAUSE_S`, and a lock that can't be had for
`STUCK_S` counts as that of a stopped holder until it is to be had again.

Source: pthread_mutexattr_setrobust(3) and pthread_mutexattr_setpshared(3); glibc and musl.
"""

import ctypes
import errno
import os
from collections.abc import Callable

from loguru import logger

from aibridged.clock import SystemClock

WAIT_S = 0.004
PAUSE_S = 0.1
STUCK_S = 1.0

SIZE = 64
"""Bytes of a lock: a cache line, and more than a mutex has on any system."""

_SHARED = 1  # PTHREAD_PROCESS_SHARED
_ROBUST = 1  # PTHREAD_MUTEX_ROBUST

# Not CDLL: it would let another thread run, which costs more than the call.
_LIBRARY = ctypes.PyDLL(None)


class RobustLocks:
    """`count` locks at an address; `make` them once, before any other process has them.

    They are for one thread of each process, and neither recursive nor held while anything waits.
    """

    def __init__(self, address: int, count: int) -> None:
        self._locks = [ctypes.c_void_p(address + number * SIZE) for number in range(count)]
        self._busy_since = [0.0] * count  # the first wait in vain; 0: none since it was had
        self._waits_from = [0.0] * count
        self._stuck = [False] * count
        self.when_had_again: Callable[[int], None] = _nothing
        """Called with the number of a lock that is had after it was waited for in vain."""
        self._try = _LIBRARY.pthread_mutex_trylock
        self._unlock = _LIBRARY.pthread_mutex_unlock

    def make(self) -> None:
        """Initialise them.

        Raises:
            OSError: the system has no such locks.
        """
        attributes = ctypes.create_string_buffer(SIZE)
        _check(_LIBRARY.pthread_mutexattr_init(attributes))
        _check(_LIBRARY.pthread_mutexattr_setpshared(attributes, _SHARED))
        _check(_LIBRARY.pthread_mutexattr_setrobust(attributes, _ROBUST))
        for lock in self._locks:
            _check(_LIBRARY.pthread_mutex_init(lock, attributes))
        _check(_LIBRARY.pthread_mutexattr_destroy(attributes))

    def take(self, number: int) -> bool:
        """Take a lock; False: it isn't to be had in time. Each True needs one `give`."""
        code = self._try(self._locks[number])
        if code == 0 and not self._busy_since[number]:
            return True
        return self._take_slowly(number, code)

    def take_if_free(self, number: int) -> bool:
        """The same without waiting."""
        code = self._try(self._locks[number])
        return code != errno.EBUSY and self._take_slowly(number, code)

    def give(self, number: int) -> None:
        """Give a lock back."""
        self._unlock(self._locks[number])

    def is_stuck(self, number: int) -> bool:
        """Whether the lock is one of a stopped holder, as far as is known."""
        return self._stuck[number]

    def _take_slowly(self, number: int, code: int) -> bool:
        now = SystemClock.monotonic()
        deadline = now if now < self._waits_from[number] else now + WAIT_S
        while code == errno.EBUSY:
            if SystemClock.monotonic() >= deadline:
                if deadline > now:
                    self._waited_in_vain(number, now)
                return False
            os.sched_yield()
            code = self._try(self._locks[number])
        if code == errno.EOWNERDEAD:
            code = _LIBRARY.pthread_mutex_consistent(self._locks[number])
        _check(code)
        self._stuck[number] = False
        if self._busy_since[number]:
            self._busy_since[number] = self._waits_from[number] = 0.0
            self.when_had_again(number)
        return True

    def _waited_in_vain(self, number: int, since: float) -> None:
        self._busy_since[number] = self._busy_since[number] or since
        now = SystemClock.monotonic()
        if now - self._busy_since[number] >= STUCK_S and not self._stuck[number]:
            self._stuck[number] = True
            logger.warning(
                "A worker has kept a lock of shared limits for {:g} s, so it may be stopped: what "
                "the lock is for is limited by each worker's share of the limit meanwhile",
                STUCK_S,
            )
        self._waits_from[number] = now + PAUSE_S


def _nothing(_number: int) -> None:
    pass


def _check(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
