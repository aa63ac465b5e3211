"""Log outputs: files that can be rotated, and streams. Logging never blocks on any of them.

A line is written at once, by the thread that logs it, so that a crash loses none; lines that are
logged for `later` are gathered, and written together. Only where writing would block, because a
pipe is full or a disk is slow, is a line kept for a background thread. Lines that can be neither
written nor kept are lost and counted, and never printed elsewhere: they may contain prompts.
"""

import os
import stat
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import TextIO
from weakref import WeakSet

from loguru import logger

from aibridged.clock import SystemClock
from aibridged.observe.line_locks import LineLock, line_lock
from aibridged.observe.log_descriptors import is_torn, open_to_append, polled, reopened
from aibridged.tasks import start_thread

BACKLOG_BYTES = 1024 * 1024
"""Bound on the bytes kept for a blocked output; further lines are lost."""

SLOW_S = 0.1
"""A file that takes longer for a line is written by the thread for the next `SHUN_S` seconds."""

SHUN_S = 5.0
TELL_S = 60.0
"""Least time between two reports that an output loses lines."""

# What a pipe that is writable takes without blocking (PIPE_BUF of Linux).
_PIECE_BYTES = 4096
_STDERR = 2
_TOO_SLOW = "it takes lines too slowly"


class Loss(StrEnum):
    """Why a line was lost."""

    UNWRITABLE = "unwritable"
    TOO_SLOW = "too_slow"
    UNFORMATTABLE = "unformattable"


LOST: Counter[Loss] = Counter(dict.fromkeys(Loss, 0))
"""Lines lost in this process."""

_counting = threading.Lock()
_monotonic = SystemClock().monotonic


def count_lost(loss: Loss, lines: int = 1) -> None:
    """Count lost lines. Thread-safe."""
    with _counting:
        LOST[loss] += lines


class LogOutput:
    """An output, for any thread.

    While one thread writes, the lines of the others are kept.
    """

    def __init__(
        self,
        place: str,
        descriptor: int,
        encoding: str,
        *,
        is_stderr: bool = False,
        line_lock: LineLock | None = None,
    ) -> None:
        self.place = place
        self.is_stderr = is_stderr
        self.is_closed = False
        self._descriptor = descriptor
        self._line_lock = line_lock
        self._ready = polled(descriptor)  # used by the thread that writes, so by one at a time
        self._encoding = encoding
        self._lock = threading.Lock()  # held for moments, never while something is written
        self._is_taken = False  # a thread writes
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._gathered = bytearray()
        self._thread: threading.Thread | None = None
        self._shun_until = 0.0
        self._is_refused = False
        self._lost, self._why = 0, ""
        self._said_at = self._told_at = float("-inf")
        self._look()
        _OUTPUTS.add(self)

    def write(self, line: str, *, later: bool = False) -> None:
        """Write the line or keep it, if `later` with the next one that isn't, or by `flush`.

        Never raises: loguru would print it on stderr.
        """
        try:
            data = line.encode(self._encoding, "backslashreplace")
            if later:
                with self._lock:
                    if len(self._gathered) + len(data) <= _PIECE_BYTES:
                        self._gathered += data
                        return
            if self._gathered:
                self.flush()
            self._write(data)
        except Exception:  # noqa: BLE001 - a log line must not fail a request
            count_lost(Loss.UNWRITABLE)

    def flush(self) -> None:
        """Write the lines that were gathered."""
        with self._lock:
            gathered, self._gathered = bytes(self._gathered), bytearray()
        if gathered:
            self._write(gathered)

    def _write(self, data: bytes) -> None:
        rest = b""
        with self._lock:
            if self._is_taken:
                self._keep(data)
                return
            self._is_taken = True
            began = _monotonic()
            waits = self._backlog or began < self._shun_until
            if waits:
                self._keep(data)
        if not waits:
            if self._is_file:
                self._write_to_file(data)
                if (now := _monotonic()) - began > SLOW_S:
                    self._shun_until = now + SHUN_S
            else:
                rest = self._write_line(data, wait=False)
        with self._lock:
            if rest:
                self._backlog.appendleft(rest)
                self._backlog_bytes += len(rest)
            if self._backlog:
                self._start(self._catch_up)
                return
            self._is_taken = False
            if self._lost or self.is_closed:
                self._released()

    def stop(self) -> None:
        """Stop; loguru calls this. Kept lines are still written."""
        self.flush()
        with self._lock:
            self.is_closed = True
            if not self._is_taken:
                self._close()

    def finish(self, timeout: float) -> None:
        """Wait for the kept lines, for up to `timeout` seconds; what is left then is lost."""
        self.flush()
        if (thread := self._thread) is not None:
            thread.join(timeout)
        with self._lock:
            if self._backlog:
                self._lose(Loss.TOO_SLOW, _TOO_SLOW, sum(map(_lines, self._backlog)))

    def _close(self) -> None:
        _OUTPUTS.discard(self)
        os.close(self._descriptor)
        if self._line_lock is not None:
            self._line_lock.close()

    def _look(self) -> None:
        """Find out what kind of file the descriptor stands for."""
        status = os.fstat(self._descriptor)
        self._is_file = stat.S_ISREG(status.st_mode)  # always writable, as poll has it
        self._is_pipe = stat.S_ISFIFO(status.st_mode)
        self._is_torn = self._is_file and is_torn(self._descriptor, status.st_size)

    def _write_line(self, data: bytes, *, wait: bool) -> bytes:
        """Write it, in one piece where others write, too; returns what can't be written now."""
        lock = self._line_lock
        if lock is None:
            return self._write_pieces(data, wait=wait)
        alone = len(data) > _PIECE_BYTES or not self._is_pipe
        if not lock.is_held and not lock.take(alone=alone, wait=wait):
            return data
        rest = self._write_pieces(data, wait=wait)
        if not rest or len(rest) == len(data):  # else it is held until the line's end
            lock.release()
        return rest

    def _write_pieces(self, data: bytes, *, wait: bool) -> bytes:
        while data and self._ready.poll(None if wait else 0):
            try:
                data = data[os.write(self._descriptor, data[:_PIECE_BYTES]) :]
            except BlockingIOError:  # another process made it non-blocking, or was faster
                if not wait:
                    break
            except OSError as error:
                self._refused(error, data)
                return b""
        self._is_refused = False
        return data

    def _write_to_file(self, data: bytes) -> None:
        rest = data = b"\n" + data if self._is_torn else data
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            if written := data[: len(data) - len(rest)]:
                self._is_torn = not written.endswith(b"\n")
            self._refused(error, rest)
        else:
            self._is_torn = self._is_refused = False

    def _refused(self, error: OSError, data: bytes) -> None:
        if isinstance(
            error, BrokenPipeError
        ):  # the reader is gone, and there is no place to report it
            count_lost(Loss.UNWRITABLE, _lines(data))
            return
        with self._lock:
            self._is_refused = True
            self._lose(Loss.UNWRITABLE, error.strerror or type(error).__name__, _lines(data))

    def _keep(self, data: bytes) -> None:
        if self._backlog_bytes + len(data) > BACKLOG_BYTES:
            self._lose(Loss.TOO_SLOW, _TOO_SLOW, _lines(data))
            return
        self._backlog.append(data)
        self._backlog_bytes += len(data)

    def _lose(self, loss: Loss, why: str, lines: int = 1) -> None:
        """Count lost lines, and report the first on standard error, without their content."""
        count_lost(loss, lines)
        is_first = not self._lost
        self._lost += lines
        self._why = why
        if is_first and (now := _monotonic()) - self._said_at > TELL_S:
            self._said_at = now
            self._say(
                f"aibridged: log lines are being lost: {self.place} can't be written: {why}\n"
            )

    def _say(self, text: str) -> None:
        """Print it on standard error, between log lines if there are any, unless that is stuck."""
        streams = [each for each in tuple(_OUTPUTS) if each.is_stderr and not each.is_closed]
        if self in streams:
            return
        if streams:
            streams[0].write(text)
        else:
            _print_now(text)

    def _released(self) -> None:
        """Close it, or report lost lines, now that nothing is kept."""
        if self.is_closed:
            self._close()
        elif self._lost and not self._is_refused and (now := _monotonic()) - self._told_at > TELL_S:
            self._told_at = now
            lost, self._lost = self._lost, 0
            # By another thread: loguru can't be entered twice by one.
            self._start(self._tell, lost, self._why)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = start_thread(work, *arguments, name="log")
        if thread is None:  # the next line tries again
            self._is_taken = False
            return
        self._thread = thread

    def _catch_up(self) -> None:
        """Write the kept lines."""
        while True:
            with self._lock:
                if not self._backlog:
                    self._is_taken = False
                    self._released()
                    return
                data = self._backlog[0]
            if self._is_file:
                self._write_to_file(data)
            else:
                self._write_line(data, wait=True)
            with self._lock:
                self._backlog_bytes -= len(self._backlog.popleft())

    def _tell(self, lost: int, why: str) -> None:
        logger.warning("{} log lines were lost: {} could not be written: {}", lost, self.place, why)


class LogFile(LogOutput):
    """A file that is appended to, or a named pipe.

    Raises:
        OSError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, open_to_append(path), "utf-8")

    def reopen(self) -> None:
        """Reopen the file by its name: it has been rotated.

        Raises:
            OSError: it can't be opened; the old one is kept.
        """
        opened = open_to_append(self.place)
        self.flush()
        # Another thread may be writing: the descriptor number stays, and its target changes.
        os.dup2(opened, self._descriptor, inheritable=False)
        os.close(opened)
        self._look()


class LogStream(LogOutput):
    """Standard output or error."""

    def __init__(self, stream: TextIO, place: str) -> None:
        number = stream.fileno()
        descriptor = reopened(number)
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        super().__init__(
            place,
            descriptor,
            stream.encoding,
            is_stderr=number == _STDERR,
            line_lock=None if is_file else line_lock(number),
        )


_OUTPUTS: WeakSet[LogOutput] = WeakSet()


def reopen(*, is_logged: bool = True) -> None:
    """Reopen all log files after rotation."""
    for file in tuple(_OUTPUTS):
        if not isinstance(file, LogFile):
            continue
        try:
            file.reopen()
        except OSError as error:
            logger.error(
                "Failed to reopen {}, keeping the old file: {}", file.place, error.strerror
            )
    if is_logged:
        logger.info("Reopened the log files")


def show(text: str, stream: TextIO) -> None:
    """Print text that isn't logged, without blocking on the stream's reader."""
    output = LogStream(stream, stream.name)
    output.write(text)
    output.stop()


def finish(seconds: float) -> None:
    """Wait for kept lines, for up to so many seconds: the process is about to end."""
    until = _monotonic() + seconds
    for output in tuple(_OUTPUTS):
        output.finish(max(0.0, until - _monotonic()))


def _lines(data: bytes) -> int:
    return max(1, data.lstrip(b"\n").count(b"\n"))  # a torn line gets its end first


def _print_now(text: str) -> None:
    """Print it on standard error, if that doesn't block."""
    with suppress(OSError):
        if polled(_STDERR).poll(0):
            os.write(_STDERR, text.encode(errors="replace")[:_PIECE_BYTES])
