"""The status socket: a Unix socket in the state directory that says one document and closes.

Nothing is read from it, so that a client can change nothing. It is for the daemon's user
and for root: its mode is 0600 from the moment it exists. This file has its address and asks it;
`status_server` answers.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMON = "status.sock"
PROXY = "proxy-status.sock"
"""The name of a standalone AI Proxy's, which may share the daemon's state directory."""
_WHO = {DAEMON: "daemon", PROXY: "standalone AI Proxy"}
_STARTED_BY = {DAEMON: "serve", PROXY: "proxy"}

MAX_BYTES = 1 << 20
"""Of a document, by far."""
DEADLINE_S = 5.0

_MAX_PATH = 107
"""Bytes of a Unix socket's path (`sun_path` without its final NUL)."""
_DESCRIPTORS = Path("/proc/self/fd")


class NoDaemonError(Exception):
    """No daemon says its status there; the message says why."""


class PathTooLongError(OSError):
    """No socket can be at this path, for its length."""


@contextmanager
def address(directory: Path, name: str) -> Iterator[str]:
    """The path to bind or connect a socket to; a long one goes through a descriptor, with /proc.

    Raises:
        PathTooLongError: it is too long, and there is no /proc.
        OSError: the directory can't be opened.
    """
    path = directory / name
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    if not _DESCRIPTORS.is_dir():
        raise PathTooLongError(
            f"The path of the status socket, {path}, is longer than the {_MAX_PATH} bytes that a "
            "Unix socket may have: choose a shorter --state-dir"
        )
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield str(_DESCRIPTORS / str(descriptor) / name)
    finally:
        os.close(descriptor)


def ask(directory: Path, name: str = DAEMON, within: float = DEADLINE_S) -> bytes:
    """The status document of the daemon with this state directory, as JSON. Blocks.

    Raises:
        NoDaemonError: none is running, this user may not ask it, or it doesn't answer within so
            many seconds.
    """
    from aibridged.clock import SystemClock

    clock, who = SystemClock(), _WHO[name]
    ends = clock.monotonic() + within
    document = bytearray()
    try:
        with (
            address(directory, name) as path,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            connection.settimeout(within)
            connection.connect(path)
            while len(document) <= MAX_BYTES:
                connection.settimeout(max(0.001, ends - clock.monotonic()))
                chunk = connection.recv(1 << 16)
                if not chunk:
                    break
                document += chunk
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NoDaemonError(
            f"No {who} is running with the state directory {directory}. Start it with `aibridged "
            f"{_STARTED_BY[name]}`, or set --state-dir to that of the one that is running."
        ) from None
    except PermissionError:
        raise NoDaemonError(
            f"Only root and the {who}'s own user may ask for the status in {directory}: run this "
            "as one of them, for example with sudo."
        ) from None
    except (TimeoutError, BlockingIOError):
        raise NoDaemonError(
            f"The {who} with the state directory {directory} does not answer within {within:g} s: "
            "it is too busy, stopped, or stuck."
        ) from None
    except OSError as error:
        raise NoDaemonError(f"{error.strerror or error}: {directory / name}.") from None
    if len(document) > MAX_BYTES:
        raise NoDaemonError(f"What serves {directory / name} is not an aibridged.")
    if not document:
        raise NoDaemonError(f"The {who} with the state directory {directory} is just ending.")
    return bytes(document)
