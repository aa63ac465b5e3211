"""Log outputs: files that can be rotated, and streams that may block.

A line is written at once, by the thread that logs it: nothing waits in memory that a crash could
lose. Only where a pipe is full, because its reader has fallen behind, a background thread takes
over until it catches up, so that the daemon doesn't block on it.
"""

import os
import select
import stat
import threading
from collections import deque
from typing import TextIO
from weakref import WeakSet

from loguru import logger

BACKLOG_BYTES = 1024 * 1024
"""Bound on the bytes kept for a blocked stream; further lines are lost, and counted."""

# What a pipe that is writable takes without blocking (PIPE_BUF of Linux).
_PIECE_BYTES = 4096


class LogFile:
    """A file that is appended to.

    Raises:
        OSError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_closed = False
        self._descriptor = self._open()
        _FILES.add(self)

    def write(self, line: str) -> None:
        _write_all(self._descriptor, line.encode())

    def reopen(self) -> None:
        """Reopen the file by its name: it has been rotated.

        Raises:
            OSError: it can't be opened; the old one is kept.
        """
        opened = self._open()
        # Another thread may be writing: the descriptor number stays, and its target changes.
        os.dup2(opened, self._descriptor, inheritable=False)
        os.close(opened)

    def stop(self) -> None:
        """Close it; loguru calls this."""
        self.is_closed = True
        _FILES.discard(self)
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


_FILES: WeakSet[LogFile] = WeakSet()


def reopen() -> None:
    """Reopen all log files after rotation."""
    for file in tuple(_FILES):
        try:
            file.reopen()
        except OSError as error:
            logger.error("Failed to reopen {}, keeping the old file: {}", file.path, error.strerror)
    logger.info("Reopened the log files")


class LogStream:
    """Standard output or error. Logging never blocks on its reader."""

    def __init__(self, stream: TextIO) -> None:
        self.is_closed = False
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)  # which is always ready
        self._ready = select.poll()
        self._ready.register(self._descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._lost = 0

    def write(self, line: str) -> None:
        data = line.encode(self._encoding, "backslashreplace")
        with self._lock:
            if self._backlog:
                self._keep(data)
                return
            while data and (self._is_file or self._ready.poll(0)):
                try:
                    data = data[os.write(self._descriptor, data[:_PIECE_BYTES]) :]
                except BlockingIOError:  # another process has made it non-blocking
                    break
                except OSError:  # the reader is gone, and there is no place to report it
                    return
            if data:
                self._keep(data)
                threading.Thread(target=self._catch_up, name="log", daemon=True).start()

    def stop(self) -> None:
        """Stop; loguru calls this. Kept lines are still written."""
        self.is_closed = True

    def _keep(self, data: bytes) -> None:
        if self._backlog_bytes + len(data) > BACKLOG_BYTES:
            self._lost += 1
            return
        self._backlog.append(data)
        self._backlog_bytes += len(data)

    def _catch_up(self) -> None:
        """Write the kept lines as the reader takes them."""
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        while self._backlog:
            data = self._backlog[0]
            while data:
                ready.poll()
                try:
                    data = data[os.write(self._descriptor, data[:_PIECE_BYTES]) :]
                except BlockingIOError:
                    continue
                except OSError:
                    break
            with self._lock:
                self._backlog_bytes -= len(self._backlog.popleft())
                lost = 0 if self._backlog else self._lost
                self._lost -= lost
            if lost:
                logger.warning("{} log lines were lost: the reader of the log was too slow", lost)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
