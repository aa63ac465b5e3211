"""The real Claude Code signs in at the gateway, as a person at a terminal does.

Its managed settings stand in `/etc`, so it gets a mount namespace of its own, which takes root.
"""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aibridged.clock import SystemClock
from aibridged.config.options import PolicySettings
from aibridged.identity.sign_ins import SignInStore
from tests.e2e.agents.packages import PACKAGES, program
from tests.e2e.agents.terminal import Terminal
from tests.e2e.sign_in.conftest import SigningIn

CLAUDE = [package for package in PACKAGES if package.name.startswith("claude")]
FOLDER = Path(os.environ.get("AIBRIDGED_AGENTS", ".")).resolve()
MISSING = [name for name in ("tmux", "unshare") if shutil.which(name) is None]
SIGN_IN_S = 60
RUN_S = 60

pytestmark = [
    pytest.mark.timeout(3 * SIGN_IN_S),
    pytest.mark.skipif(
        bool(MISSING) or os.geteuid() != 0,
        reason=f"NOT TESTED: signing in with Claude Code needs root, and {MISSING or 'nothing'}",
    ),
]

# What it asks, and what a person presses then.
_ANSWERS = (
    ("Yes, trust this gateway", ("Up", "Enter")),
    ("Yes, continue", ("Up", "Enter")),
    ("Enter to connect", ("Enter",)),
)
_CODE = re.compile(r"\b([A-Z]{4}-[A-Z]{4})\b")
_MOUNTED = 'mkdir -p /etc/claude-code && mount --bind "$0" /etc/claude-code && exec "$@"'


POLICY = PolicySettings(
    models=("claude-haiku-*",),
    claude_code=json.dumps({"model": "claude-haiku-4-5"}, separators=(",", ":")),
)


@pytest.fixture
async def gateway(signing_in) -> SigningIn:
    return await signing_in(policies=(POLICY,))


@pytest.fixture
def clock() -> SystemClock:
    """Claude Code can't be told another time."""
    return SystemClock()


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
                await _moment()
            terminal.type("/login")
            while "/login" not in terminal.screen:
                await _moment()
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
                await _moment()
            return screen
    except TimeoutError:
        raise AssertionError(f"It is stuck at:\n{terminal.screen}") from None
    finally:
        terminal.close()


async def _moment() -> None:
    await asyncio.sleep(0.1)  # nothing tells when a program has drawn its screen


@pytest.fixture(params=CLAUDE, ids=lambda package: package.name)
async def claude(request, gateway, tmp_path) -> AsyncIterator[Claude]:
    executable = program(FOLDER, request.param)
    if not executable.exists():
        pytest.skip(f"NOT TESTED: {request.param.package} is not installed")
    return Claude(tmp_path, executable, gateway.url)


async def test_claude_code_signs_in_and_works_until_it_is_signed_out(
    claude, gateway, browser, sqlite_database, clock, fake
):
    async def confirm(code: str) -> None:
        page = await browser.confirm(code, "ann")
        assert page.status == 200, page.shown

    await sign_in(claude, confirm)

    assert "You said: Think of pears." in await claude.run("Think of pears.")
    models = {each.json()["model"] for each in fake.requests if "pears" in each.body.decode()}
    assert models == {"claude-haiku-4-5"}, "the managed settings name it"

    refused = await claude.run("Think of plums.", "--model", "claude-opus-4-7")
    assert "claude-opus-4-7" in refused
    assert "claude-haiku-*" in refused
    assert not [each for each in fake.requests if "plums" in each.body.decode()]

    sign_ins = SignInStore(sqlite_database.engine, clock, bearer_ttl=3600)
    assert sign_ins.sign_out("ann", actor="a test") > 0
    while (await gateway.get("/api/v2/users/me", headers=claude.bearer())).status != 401:
        await _moment()  # a gateway looks every few seconds
    said = await claude.run("Think of quinces.")
    assert "login" in said.lower()
    assert not [each for each in fake.requests if "quinces" in each.body.decode()]
