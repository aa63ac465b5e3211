"""systemd integration: sd_notify, watchdog and socket activation.

The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3), which other
service managers may implement, too. Without any, nothing is sent, and there are no sockets.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from loguru import logger

_FIRST_FD = 3
_USEC = 1_000_000
STATUS_S = 5.0
"""Bound on the frequency of status updates."""

HTTP, METRICS, PROXY, UI = "http", "metrics", "proxy", "ui"
"""The names of sockets: FileDescriptorName= of a socket unit, or a part of LISTEN_FDNAMES."""
SOCKET_NAMES = (HTTP, METRICS, PROXY, UI)


PassedSockets = dict[str, list[socket.socket]]
"""Sockets to listen on, by name."""


class PassedSocketError(Exception):
    """A passed socket can't be listened on; the message says why and how to fix it."""


class Notifier:
    """Notifies the service manager of the daemon's state; never blocks.

    `is_heard` says whether there is one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self.is_heard = address.startswith(("/", "@"))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        self._works = True
        if address and not self.is_heard:
            logger.warning(
                "NOTIFY_SOCKET is neither a path nor an abstract socket: the service manager is "
                "not notified"
            )

    def ready(self) -> None:
        """Notify that it serves, after a start or a reload."""
        self._send("READY=1")

    def reloading(self, monotonic: float) -> None:
        """Notify that it has been reloading since that time; `ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * _USEC)}")

    def stopping(self, within: float) -> None:
        """Notify that it shuts down, which takes at most so many seconds, however long that is."""
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within * _USEC)}")

    def status(self, text: str) -> None:
        """Set the line in `systemctl status`; sent only if it changes."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """Feed the watchdog: the event loop is running."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self.is_heard:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
                speaker.setblocking(False)
                speaker.sendto(message.encode(), self._address)
            self._works = True
        except OSError as error:
            if self._works:  # logged once, not at every beat
                logger.warning(
                    "Failed to notify the service manager of {}: {}", message, error.strerror
                )
            self._works = False


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """The interval of `alive`, in seconds: half of the time after which systemd acts."""
    usec = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid) or not usec.isdecimal() or not int(usec):
        return None
    return int(usec) / _USEC / 2


@contextmanager
def telling(
    notifier: Notifier,
    environ: Mapping[str, str],
    pid: int,
    status: Callable[[], str],
    is_well: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Meanwhile, feed the watchdog and update the status, as long as the event loop runs.

    The watchdog isn't fed while it is not well.
    """
    beats = [_Beat(STATUS_S, lambda: notifier.status(status()))] if notifier.is_heard else []
    interval = watchdog_interval(environ, pid)
    if interval is not None and notifier.is_heard:
        beats.append(_Beat(interval, lambda: notifier.alive() if is_well() else None))
    try:
        yield
    finally:
        for beat in beats:
            beat.stop()


class _Beat:
    """Calls `act` now and every `interval` seconds. A blocked loop misses it."""

    def __init__(self, interval: float, act: Callable[[], None]) -> None:
        self._interval = interval
        self._act = act
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._beat)
        self._act()

    def stop(self) -> None:
        self._timer.cancel()


def passed_sockets(environ: Mapping[str, str], pid: int) -> PassedSockets:
    """The passed sockets by name; unnamed ones are `http`.

    Raises:
        PassedSocketError: one of them isn't a socket that the daemon can listen on.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return {}
    count = environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise PassedSocketError(f"LISTEN_FDS is not a number: {count!r}.")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    sockets: PassedSockets = {}
    for index in range(int(count)):
        name = _known_name(names[index] if index < len(names) else "")
        sockets.setdefault(name, []).append(_listening_socket(_FIRST_FD + index))
    return sockets


def _known_name(name: str) -> str:
    # systemd names a socket after its unit, and older ones "unknown", where its unit doesn't.
    if name in ("", "unknown") or name.endswith(".socket"):
        return HTTP
    if name not in SOCKET_NAMES:
        raise PassedSocketError(
            f"A socket was passed under the unknown name {name!r}."
            f" Set FileDescriptorName= to {', '.join(SOCKET_NAMES[:-1])} or {SOCKET_NAMES[-1]}."
        )
    return name


def _listening_socket(fd: int) -> socket.socket:
    try:
        os.set_inheritable(fd, False)
        passed = socket.socket(fileno=fd)
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise PassedSocketError(
            f"The passed file descriptor {fd} is not a socket: {error.strerror}."
        ) from None
    if not listens:
        passed.close()
        raise PassedSocketError(
            f"The socket with file descriptor {fd} is not listening."
            " Use ListenStream= and Accept=no in its unit."
        )
    passed.setblocking(False)
    return passed
