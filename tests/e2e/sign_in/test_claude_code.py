"""The real Claude Code signs in at the gateway and works, until it is signed out."""

import json
from collections.abc import AsyncIterator

import pytest

from aibridged.clock import SystemClock
from aibridged.config.options import PolicySettings
from aibridged.identity.sign_ins import SignInStore
from tests.e2e.agents.claude_code import CLAUDE, FOLDER, SIGN_IN_S, Claude, needs_root, sign_in
from tests.e2e.agents.packages import program
from tests.e2e.agents.terminal import moment
from tests.e2e.sign_in.conftest import SigningIn

pytestmark = [pytest.mark.timeout(3 * SIGN_IN_S), needs_root]

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
        await moment()  # a gateway looks every few seconds
    said = await claude.run("Think of quinces.")
    assert "login" in said.lower()
    assert not [each for each in fake.requests if "quinces" in each.body.decode()]
