"""Claude Code that signs in at a gateway, as a person at a terminal does.

Its managed settings stand in `/etc`, so it gets a mount namespace of its own, which takes root.
"""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.agents.packages import PACKAGES
from tests.e2e.agents.terminal import Terminal, moment

CLAUDE = [package for package in PACKAGES if package.name.startswith("claude")]
FOLDER = Path(os.environ.get("AIBRIDGED_AGENTS", ".")).resolve()
MISSING = [name for name in ("tmux", "unshare") if shutil.which(name) is None]
SIGN_IN_S = 60
RUN_S = 60

needs_root = pytest.mark.skipif(
    bool(MISSING) or os.geteuid() != 0,
    reason=f"NOT TESTED: signing in with Claude Code needs root, and {MISSING or 'nothing'}",
)

# What it asks, and what a person presses then.
_ANSWERS = (
    ("Yes, trust this gateway", ("Up", "Enter")),
    ("Yes, continue", ("Up", "Enter")),
    ("Enter to connect", ("Enter",)),
)
_CODE = re.compile(r"\b([A-Z]{4}-[A-Z]{4})\b")
_MOUNTED = 'mkdir -p /etc/claude-code && mount --bind "$0" /etc/claude-code && exec "$@"'


class Claude:
    """A Claude Code in a home of its own, whose managed settings name the gateway."""

    def __init__(self, folder: Path, executable: Path, url: str) -> None:
        self.home = folder / "home"
        self.work = self.home / "work"
        self.managed = folder / "managed"
        self.work.mkdir(parents=True)
        self.managed.mkdir()
        settings = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": url}
        (self.managed / "managed-settings.json").write_text(json.dumps(settings))
        known = {str(self.work): {"hasTrustDialogAccepted": True}}
        state = {"hasCompletedOnboarding": True, "theme": "dark", "projects": known}
        (self.home / ".claude.json").write_text(json.dumps(state))
        self._command = ["unshare", "--mount", "sh", "-c", _MOUNTED, str(self.managed)]
        self._command += ["env", "--chdir", str(self.work), str(executable)]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TERM": "xterm-256color",
            "TZ": "UTC",
            "IS_SANDBOX": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def terminal(self) -> Terminal:
        return Terminal(self.home, self._command, self._environment)

    async def run(self, prompt: str, *flags: str) -> str:
        """`claude -p`: what it says, however it ends."""
        process = await asyncio.create_subprocess_exec(
            *[*self._command, "-p", prompt, *flags],
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(RUN_S):
            said, _ = await process.communicate()
        return said.decode()

    def bearer(self) -> dict[str, str]:
        """The header that it sends."""
        stored = json.loads((self.home / ".claude" / ".credentials.json").read_text())
        return {"Authorization": f"Bearer {stored['enterpriseGateway']['jwt']}"}


async def sign_in(claude: Claude, confirm) -> str:
    """`/login`, with all questions answered; the last screen. `confirm` is the browser's part."""
    terminal, confirmed, seen = claude.terminal(), False, ""
    try:
        async with asyncio.timeout(SIGN_IN_S):
            while "❯" not in terminal.screen:
                await moment()
            terminal.type("/login")
            while "/login" not in terminal.screen:
                await moment()
            terminal.type("Enter")
            while "Connected to Cloud gateway" not in (screen := terminal.screen):
                code = _CODE.search(screen)
                if code is not None and not confirmed:
                    confirmed = True
                    await confirm(code[1])
                keys = next((keys for text, keys in _ANSWERS if text in screen), ())
                if keys and screen != seen:
                    seen = screen
                    terminal.type(*keys)
                await moment()
            return screen
    except TimeoutError:
        raise AssertionError(f"It is stuck at:\n{terminal.screen}") from None
    finally:
        terminal.close()
