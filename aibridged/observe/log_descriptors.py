"""File descriptors of log outputs: opened so that no reader and no disk holds anyone up."""

import os
import select
import stat
from contextlib import suppress


def open_to_append(path: str) -> int:
    """Open it for appending, without blocking on the reader of a named pipe."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if stat.S_ISFIFO(mode):
            # As its own reader, it can open the pipe before there is another one.
            flags = os.O_RDWR | os.O_NONBLOCK
        elif not stat.S_ISREG(mode):
            flags |= os.O_NONBLOCK
    return os.open(path, flags, 0o666)


def reopened(descriptor: int) -> int:
    """A descriptor of our own for the same stream, non-blocking where that is possible.

    O_NONBLOCK belongs to the open file description, which other processes share; so it is reopened.
    """
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
    return os.dup(descriptor)


def is_torn(descriptor: int, size: int) -> bool:
    """Whether the file's last line has no end, as a full disk leaves it."""
    with suppress(OSError):
        file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
        try:
            return size > 0 and os.pread(file, 1, size - 1) != b"\n"
        finally:
            os.close(file)
    return False


def polled(descriptor: int) -> select.poll:
    """Says whether the descriptor takes something without blocking."""
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return ready
