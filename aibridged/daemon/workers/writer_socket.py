"""The Unix socket in the state directory by which workers reach the writer process."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from aibridged.config.options import Settings
from aibridged.daemon.status_socket import address

WRITER_SOCKET = "writer.sock"
_BACKLOG = 256


def has_writer(settings: Settings, workers: int) -> bool:
    """Whether so many workers have a writer process: a file of SQLite's has one writer."""
    return workers > 1 and settings.postgres_url is None


def connect(state_dir: Path) -> socket.socket:
    """A socket that is connected to the writer process; it doesn't wait for one.

    Raises:
        OSError: there is none.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        with address(state_dir, WRITER_SOCKET) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def listen(state_dir: Path) -> socket.socket:
    """The writer process's socket, for its own user; for the holder of the directory's lock.

    Raises:
        OSError: it can't be made.
    """
    path = state_dir / WRITER_SOCKET
    with suppress(FileNotFoundError):
        path.unlink()  # a process that was killed has left it
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Before it has a path: on Linux the file gets the mode of the socket.
        os.fchmod(listening.fileno(), 0o600)
        with address(state_dir, WRITER_SOCKET) as name:
            listening.bind(name)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
