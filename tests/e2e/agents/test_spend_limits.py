"""What agents show of a spend limit on their own screens: how it stands, warnings, and its end."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aibridged.fake_provider import Answer, FakeProvider, Script, Usage
from aibridged.fake_provider.received import Received
from tests.e2e.agents.claude_code import CLAUDE, FOLDER, SIGN_IN_S, Claude, needs_root, sign_in
from tests.e2e.agents.packages import PACKAGES, Package, program
from tests.e2e.agents.terminal import Terminal, moment
from tests.e2e.sign_in.conftest import Browser, free_port
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProviderProcess

pytestmark = pytest.mark.timeout(3 * SIGN_IN_S)

CODEX = next(package for package in PACKAGES if package.name == "codex")
LIMIT = 100
STANDING_S = 10
TOKENS_A_DOLLAR = 10_000
PRICE = {
    "CODER_AIBRIDGE_PRICE_0_INPUT": "0",
    "CODER_AIBRIDGE_PRICE_0_OUTPUT": str(1_000_000 // TOKENS_A_DOLLAR),
}
# Not where an agent quotes it, to ask for a title.
_PROMPT = re.compile(rb'"think of \w+ for \$(\d+)"')
# More than 75 or 95 % where another request of the agent's has something reserved.
_NOTICE = "You've used {}[5-9]% of your usage credits · resets 12am"
_SENTENCE = (
    r"Your daily spend limit of \$100\.00 is reached: \$100\.00 is spent or reserved\. "
    r"It resets on [-0-9]+ at 00:00 UTC\. Ask the operator of the gateway if you need more\."
)


def _costly(each: Received) -> Script | None:
    """The last prompt says what its answer costs; all else is free."""
    if each.method != "POST" or not each.path.endswith(("/messages", "/responses")):
        return None
    asked = _PROMPT.findall(each.body)
    dollars = int(asked[-1]) if asked else 0
    usage = Usage(input=1000, output=dollars * TOKENS_A_DOLLAR)
    return Script(answer=Answer(text="I have thought of it.", usage=usage))


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider(choose=_costly)
    await provider.start()
    yield provider
    await provider.stop()


class Spending:
    """A daemon whose users may spend `LIMIT` dollars a day."""

    def __init__(self, daemon: Any, variables: Mapping[str, str], command: Any) -> None:
        self.url = variables["CODER_ACCESS_URL"]
        self._daemon, self._variables, self._command = daemon, variables, command

    async def command(self, *arguments: str) -> str:
        """What a command of `aibridged` says."""
        done = await self._command(*arguments, **self._variables)
        assert done.status == 0, done.err
        return done.out

    async def spend(self, dollars: int, headers: Mapping[str, str], *, percent: int) -> None:
        """Have another program of the same user's spend so much, until the limit stands so."""
        body = {
            "model": "claude-opus-4-8",
            "max_tokens": 1,  # little is reserved
            "messages": [{"role": "user", "content": f"think of limes for ${dollars}"}],
        }
        async with aiohttp.ClientSession(self.url, headers=headers) as client:
            async with client.post("/v1/messages", json=body) as answer:
                assert answer.status == 200, await answer.text()
            async with asyncio.timeout(STANDING_S):
                while await _percent(client) != percent:
                    await moment()

    @property
    def refused(self) -> int:
        """How many requests were over the limit."""
        return "".join(self._daemon.log).count("reason=budget_exceeded")


async def _percent(client: aiohttp.ClientSession) -> int:
    """How much of the limit is used."""
    async with client.get("/api/oauth/usage") as answer:
        [limit] = (await answer.json())["limits"]
        return limit["percent"]


@pytest.fixture
async def spending(start_daemon, command, tmp_path) -> AsyncIterator[Spending]:
    provider = IdentityProviderProcess()
    provider.add_user("ann")
    port = free_port()
    variables = {
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "CODER_ACCESS_URL": f"http://127.0.0.1:{port}",
        "CODER_AIBRIDGE_AUTH": "token",
        "CODER_OIDC_ISSUER_URL": provider.issuer,
        "CODER_OIDC_CLIENT_ID": CLIENT_ID,
        "CODER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "CODER_STATE_DIR": str(tmp_path / "state"),
        **PRICE,
    }
    try:
        limit = ("--organization", "--daily", str(LIMIT))
        for asked in (("users", "create", "operator"), ("budgets", "set", *limit)):
            done = await command(*asked, **variables)
            assert done.status == 0, done.err
        yield Spending(await start_daemon(**variables), variables, command)
    finally:
        provider.close()


async def _think(terminal: Terminal, fruit: str, expected: str) -> str:
    """Type a prompt whose answer costs a dollar; the screen once it has what is expected."""
    prompt = f"think of {fruit} for $1"
    terminal.type(prompt)
    await terminal.until(re.escape(prompt))
    terminal.type("Enter")
    screen = await terminal.until(expected)
    print(screen)  # of `make agents`, to be looked at
    return screen


def _installed(package: Package) -> Path:
    executable = program(FOLDER, package)
    if not executable.exists():
        pytest.skip(f"NOT TESTED: {package.package} is not installed")
    return executable


@needs_root
@pytest.mark.parametrize("package", CLAUDE, ids=lambda package: package.name)
async def test_claude_code_shows_warnings_and_our_sentence_at_the_limit(
    package, spending, tmp_path
):
    warns = package.name != "claude-2.1.197"  # which shows them to subscribers only
    claude = Claude(tmp_path, _installed(package), spending.url)
    browser = Browser(spending.url)

    async def confirm(code: str) -> None:
        assert (await browser.confirm(code, "ann")).status == 200

    try:
        await sign_in(claude, confirm)
    finally:
        await browser.session.close()
    bearer = claude.bearer()
    terminal = claude.terminal()
    try:
        await terminal.until("❯")
        screen = await _think(terminal, "pears", "I have thought of it")
        assert "usage credits" not in screen
        await spending.spend(74, bearer, percent=75)
        await _think(
            terminal, "plums", _NOTICE.format(7) if warns else "(I have thought of it.*){2}"
        )
        await terminal.until("^(?!.*usage credits)")  # of the same notice it shows one at a time
        await spending.spend(19, bearer, percent=95)
        await _think(
            terminal, "figs", _NOTICE.format(9) if warns else "(I have thought of it.*){3}"
        )
        await spending.spend(4, bearer, percent=100)
        assert not spending.refused
        await _think(terminal, "limes", _SENTENCE)
    finally:
        terminal.close()
    assert spending.refused == 2, "its request and that for a title: none is repeated"
    assert "$100.00  $100.00" in await spending.command("budgets", "show", "ann")


async def test_codex_shows_how_the_limit_stands_and_when_to_come_back(spending, tmp_path):
    executable = _installed(CODEX)
    await spending.command("users", "create", "ann")
    token = await spending.command("tokens", "create", "--user", "ann", "--name", "laptop")
    bearer = {"Authorization": f"Bearer {token.split()[-1]}"}
    terminal = _codex(executable, spending.url, token.split()[-1], tmp_path)
    try:
        await terminal.until("Ask Codex to do anything")
        screen = await _think(terminal, "pears", "I have thought of it.")
        assert "daily limit" not in screen
        await spending.spend(74, bearer, percent=75)
        await _think(terminal, "plums", "you have less than 25% of your daily limit left.")
        await terminal.until("daily limit: 25% left · /status")
        await spending.spend(19, bearer, percent=95)
        await _think(terminal, "figs", "you have less than 5% of your daily limit left.")
        await terminal.until("Approaching rate limits")  # which offers a cheaper model
        terminal.type("Escape")
        await terminal.until("daily limit: only 5% left")
        await spending.spend(4, bearer, percent=100)
        assert not spending.refused
        await _think(terminal, "limes", "hit your usage limit.* or try again at .*12:00 AM")
        await terminal.until("daily limit: only <1% left")
    finally:
        terminal.close()
    assert spending.refused == 1, "it isn't repeated"
    assert "$100.00  $100.00" in await spending.command("budgets", "show", "ann")


def _codex(executable: Path, url: str, token: str, folder: Path) -> Terminal:
    home, work = folder / "home", folder / "home" / "work"
    work.mkdir(parents=True)
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(
        'model = "gpt-5"\nmodel_provider = "gateway"\ncheck_for_update_on_startup = false\n'
        f'[model_providers.gateway]\nname = "Gateway"\nbase_url = "{url}/openai/v1"\n'
        'env_key = "GATEWAY_TOKEN"\nwire_api = "responses"\nsupports_websockets = false\n'
        f'[projects."{work}"]\ntrust_level = "trusted"\n'
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "xterm-256color",
        "TZ": "UTC",
        "GATEWAY_TOKEN": token,
    }
    return Terminal(home, ["env", "--chdir", str(work), str(executable)], environment)
