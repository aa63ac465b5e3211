"""A terminal that a test types into and reads: tmux, with a socket of its own."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from tests.processes import with_variable

_COLUMNS, _ROWS = 120, 40
_TMUX_S = 10
_NUMBERS = count()


class Terminal:
    """One program in a terminal of 120 columns."""

    def __init__(
        self, folder: Path, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        socket = folder / f"terminal-{next(_NUMBERS)}"  # one that has been closed may still end
        self._tmux = ("tmux", "-S", str(socket))
        self._home = environment["HOME"]
        variables = [f"{name}={value}" for name, value in environment.items()]
        program = shlex.join(["env", "-i", *variables, *command])
        size = ("-x", str(_COLUMNS), "-y", str(_ROWS))
        self._run("-f", os.devnull, "new-session", "-d", *size, program)

    @property
    def screen(self) -> str:
        """What a person sees; nothing once the program has ended."""
        return self._run("capture-pane", "-p", check=False)

    async def until(self, pattern: str, seconds: float = 30) -> str:
        """Wait for a match on the screen, whose blanks and ends of lines count as one blank each.

        Returns:
            The screen then.
        """
        try:
            async with asyncio.timeout(seconds):
                while not re.search(pattern, " ".join((screen := self.screen).split())):
                    await moment()
                return screen
        except TimeoutError:
            raise AssertionError(f"Nothing matches {pattern!r} on:\n{self.screen}") from None

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names; any other text is typed."""
        for key in keys:
            self._run("send-keys", key)

    def close(self) -> None:
        """End the program, and what it has left in the background."""
        self._run("kill-server", check=False)
        for pid in with_variable("HOME", self._home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _run(self, *arguments: str, check: bool = True) -> str:
        return subprocess.run(
            [*self._tmux, *arguments], check=check, capture_output=True, text=True, timeout=_TMUX_S
        ).stdout


async def moment() -> None:
    """A pause between two looks at something that tells of no change."""
    await asyncio.sleep(0.1)
