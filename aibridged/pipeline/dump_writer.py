"""Writes dumps to disk in a thread of its own: no request waits for that, and none is told."""

import os
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from loguru import logger

from aibridged.config.private_file import open_private_directory
from aibridged.counted import counted
from aibridged.tasks import start_thread

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""How much may wait for the disk; dumps beyond it are not written."""


class Dumped(Protocol):
    """A dump that is to be written."""

    path: Path
    """The files' name, without their suffixes."""

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """What is in the files, by their suffixes; called by the thread."""
        ...


class DumpWriter:
    """The thread is there while there is something to write."""

    def __init__(self, most_bytes: int = MAX_WAITING_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._waiting: deque[Dumped] = deque()
        self._bytes = 0  # with what is being written
        self._thread: threading.Thread | None = None
        self._failed = 0

    def put(self, dump: Dumped) -> None:
        """Have it written, or drop it where too much waits already."""
        size = dump.size
        reason = ""
        with self._lock:
            if self._bytes + size > self._most_bytes:
                reason = "too many wait to be written"
            elif self._thread is None and not self._start():
                reason = "no thread can be started"
            else:
                self._bytes += size
                self._waiting.append(dump)
        if reason:
            self._fail(dump.path, reason)

    def finish(self, timeout: float) -> None:
        """Block for up to so many seconds until all is written."""
        if (thread := self._thread) is not None:
            thread.join(timeout)
        with self._lock:
            left = len(self._waiting)
            self._waiting.clear()
        if left:
            requests = counted(left, "request is", "requests are")
            logger.warning("{} not dumped: the disk is too slow", requests)

    def _start(self) -> bool:
        self._thread = start_thread(self._run, name="dumps")  # it waits for the lock
        return self._thread is not None

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                dump = self._waiting.popleft()
            try:
                _write(dump.path, dump.files())
            except OSError as error:
                self._fail(dump.path, error.strerror or type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the next one may be written
                self._fail(dump.path, type(error).__name__)
            else:
                self._succeeded()
            with self._lock:
                self._bytes -= dump.size

    def _fail(self, path: Path, reason: str) -> None:
        """Log the first of those that fail; how many there were is told afterwards."""
        self._failed += 1
        if self._failed == 1:
            logger.warning("Failed to dump a request to {}: {}", path, reason)

    def _succeeded(self) -> None:
        failed, self._failed = self._failed, 0
        if failed > 1:
            logger.warning("Requests are dumped again: {} were not", failed)


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    """Write all of the files, or leave none of them."""
    folder = open_private_directory(path.parent)
    try:
        for suffix, content in files.items():
            _write_private(folder, f"{path.name}{suffix}", content)
    except OSError:
        for suffix in files:
            with suppress(OSError):
                os.unlink(f"{path.name}{suffix}", dir_fd=folder)
        raise
    finally:
        os.close(folder)


def _write_private(folder: int, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(content)
