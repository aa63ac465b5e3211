"""A terminal that a test types into and reads: tmux, with a socket of its own."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_COLUMNS, _ROWS = 120, 40
_TMUX_S = 10


class Terminal:
    """One program in a terminal of 120 columns."""

    def __init__(
        self, folder: Path, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._tmux = ("tmux", "-S", str(folder / "terminal"))
        variables = [f"{name}={value}" for name, value in environment.items()]
        program = shlex.join(["env", "-i", *variables, *command])
        size = ("-x", str(_COLUMNS), "-y", str(_ROWS))
        self._run("-f", os.devnull, "new-session", "-d", *size, program)

    @property
    def screen(self) -> str:
        """What a person sees; nothing once the program has ended."""
        return self._run("capture-pane", "-p", check=False)

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names; any other text is typed."""
        for key in keys:
            self._run("send-keys", key)

    def close(self) -> None:
        """End the program."""
        self._run("kill-server", check=False)

    def _run(self, *arguments: str, check: bool = True) -> str:
        return subprocess.run(
            [*self._tmux, *arguments], check=check, capture_output=True, text=True, timeout=_TMUX_S
        ).stdout
