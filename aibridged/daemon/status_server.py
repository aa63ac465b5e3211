"""Serves the status socket. See `status_socket`."""

import asyncio
import fcntl
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from loguru import logger

from aibridged.config.private_file import make_private_directory, open_private
from aibridged.daemon.status_socket import DEADLINE_S, address
from aibridged.tasks import Tasks

PLACES = 4
"""Connections that are answered at the same time; some more wait in the backlog."""
_BACKLOG = 16
_RETRY_S = 1.0


class StatusServer:
    """Says the document that `read` makes to each connection, and closes it.

    A lock on a file beside the socket, held as long as it is served, tells a socket in use from
    one that a killed process has left.
    """

    def __init__(self, directory: Path, name: str, read: Callable[[], Awaitable[bytes]]) -> None:
        self._directory = directory
        self._name = name
        self._path = directory / name
        self._read = read
        self._lock = -1
        self._socket: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        self._places = asyncio.Semaphore(PLACES)
        self._tasks = Tasks()

    def start(self) -> None:
        """Listen. Where that isn't possible, the log says why, and requests are served anyway."""
        try:
            self._listen()
        except OSError as error:
            reason = str(error) if error.errno is None else os.strerror(error.errno)
            logger.warning("`aibridged status` has no socket at {}: {}", self._path, reason)
            self._let_go()
            return
        self._tasks.start(self._accept(), "status socket")

    async def close(self) -> None:
        """Remove the socket."""
        if self._socket is None:
            return
        await self._tasks.cancel()
        if _identity(self._path) == self._identity:
            with suppress(OSError):
                self._path.unlink()
        self._let_go()

    def _listen(self) -> None:
        make_private_directory(self._directory)
        self._lock = open_private(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another process serves it") from None
        self._remove_stale()
        self._socket = listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
        # Before it has a path: on Linux the file gets the mode of the socket.
        os.fchmod(listening.fileno(), 0o600)
        with address(self._directory, self._name) as path:
            listening.bind(path)
        self._identity = _identity(self._path)
        listening.listen(_BACKLOG)

    def _remove_stale(self) -> None:
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise OSError("there is a file that is not a socket: move it away")
        self._path.unlink()

    async def _accept(self) -> None:
        loop, listening = asyncio.get_running_loop(), self._socket
        assert listening is not None
        while True:
            await self._places.acquire()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:  # there is no descriptor left
                self._places.release()
                await asyncio.sleep(_RETRY_S)
            else:
                self._tasks.start(self._answer(connection), "status")

    async def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.setblocking(False)
                async with asyncio.timeout(DEADLINE_S):
                    document = await self._read()
                    await asyncio.get_running_loop().sock_sendall(connection, document)
        except OSError:  # it left, or reads too slowly
            pass
        finally:
            self._places.release()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
