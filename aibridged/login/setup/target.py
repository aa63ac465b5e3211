"""What an agent is set up for."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..failure import LoginError

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True)
class Target:
    """A gateway, and the machine whose agent is set up for it.

    `command` prints a fresh token. `provider` is the gateway's provider to use, None for the first
    one of the agent's kind.
    """

    url: str
    command: Sequence[str]
    environ: Mapping[str, str]
    home: Path
    platform: str
    provider: str | None = None
    managed: bool = False
    is_signed_in: bool = True

    @property
    def base(self) -> str:
        """The address below which the provider's own paths are."""
        if self.provider is None:
            return self.url
        if not self.provider or not _NAME.issuperset(self.provider):
            raise LoginError("--provider is not a provider's name", "Ask who runs the gateway.")
        return f"{self.url}/{self.provider}"

    @property
    def shell_command(self) -> str:
        """The command as the system's shell takes it."""
        if self.platform == "win32":
            return subprocess.list2cmdline(self.command)
        return shlex.join(self.command)

    def notes(self, *variables: str) -> list[str]:
        """What the person still has to do; `variables` of the environment would override it."""
        notes = [] if self.is_signed_in else [f"Sign in: `aibridged login {self.url}`."]
        notes += (
            f"{name} is set in this shell, and counts more: unset it."
            for name in variables
            if self.environ.get(name)
        )
        return notes
