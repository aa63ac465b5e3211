"""A child process as its supervisor has it: how it is started, told to end, and how it ended."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping

from aibridged.daemon.workers.channel import Channel
from aibridged.daemon.workers.messages import CHANNEL

# What is for the process that systemd has started, and for no other.
_SUPERVISORS_OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_LISTEN = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Child:
    """A running child. `started` is done once it serves; its result says why it can't, if so."""

    def __init__(
        self,
        name: str,
        slot: int,
        process: asyncio.subprocess.Process,
        channel: Channel,
        began: float,
    ) -> None:
        self.name = name
        self.slot = slot
        self.pid = process.pid
        self.channel = channel
        self.began = began
        self.started: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.sockets: dict[str, list[int]] = {}
        """The descriptors of its listening sockets, by name, as it has them."""
        self._process = process

    @property
    def serves(self) -> bool:
        """Whether it has started, and hasn't ended."""
        return self.has_served and not self.channel.closed.is_set()

    @property
    def has_served(self) -> bool:
        """Whether it has started."""
        return self.started.done() and self.started.result() is None

    def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> int:
        """Its exit status once it has ended; that of a signal is negative."""
        status = await self._process.wait()
        await self.channel.close()
        return status


async def spawn(kind: str, slot: int, descriptors: Iterable[int], now: float) -> Child:
    """Start a process that inherits these descriptors, and one end of a control channel.

    The channel isn't read yet.

    Raises:
        OSError: there are not enough processes, descriptors or memory.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                *_interpreter(),
                "-m",
                "aibridged",
                kind,
                str(slot),
                stdin=subprocess.DEVNULL,
                pass_fds=sorted({theirs.fileno(), *descriptors}),
                env=_environment(os.environ, theirs.fileno()),
            )
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)
    name = f"{kind.capitalize()} {slot}"
    return Child(name, slot, process, Channel(ours, name), now)


def _environment(environ: Mapping[str, str], channel: int) -> dict[str, str]:
    own = (*_SUPERVISORS_OWN, *_LISTEN)
    kept = {name: value for name, value in environ.items() if name not in own}
    return {**kept, CHANNEL: str(channel)}


def _interpreter() -> list[str]:
    """This interpreter, with its options; modules come from where this process has them from."""
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    # `-m` would add the current directory, whatever lies there.
    if not sys.flags.safe_path and sys.path[:1] != [os.getcwd()]:
        options.append("-P")
    return [sys.executable, *options]


def how_it_ended(status: int) -> str:
    """The exit status, or the signal, in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
