"""Locks between processes that no process can keep for ever: robust mutexes in shared memory.

A mutex of the C library costs no system call while it is free, and the kernel gives it back when
its holder dies, whatever it was doing; what it has half written is a matter of those who write
(`region.Cell`, `table.Table`). A holder that is stopped keeps it: so nothing waits for longer than
`WAIT_S`, and for `STUCK_S` after that nothing waits for that lock at all.

Source: pthread_mutexattr_setrobust(3) and pthread_mutexattr_setpshared(3); glibc and musl.
"""

import ctypes
import errno
import os

from aibridged.clock import SystemClock

WAIT_S = 0.002
"""A holder needs some microseconds; where it was preempted, some of its time slices."""
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
        self._stuck_until = [0.0] * count
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
        return code == 0 or self._take_slowly(number, code)

    def give(self, number: int) -> None:
        """Give a lock back."""
        self._unlock(self._locks[number])

    def _take_slowly(self, number: int, code: int) -> bool:
        now = SystemClock.monotonic()
        deadline = now + WAIT_S if now >= self._stuck_until[number] else now
        while code == errno.EBUSY:
            if SystemClock.monotonic() >= deadline:
                if deadline > now:
                    self._stuck_until[number] = deadline + STUCK_S
                return False
            os.sched_yield()
            code = self._try(self._locks[number])
        if code == errno.EOWNERDEAD:
            code = _LIBRARY.pthread_mutex_consistent(self._locks[number])
        _check(code)
        self._stuck_until[number] = 0.0
        return True


def _check(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
