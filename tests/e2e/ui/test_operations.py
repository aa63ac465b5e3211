"""The pages of providers and settings: what operators see there, and never a secret."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from aibridged.config.load import resolve
from aibridged.config.options import OPTIONS
from tests.e2e.conftest import ANTHROPIC_KEY
from tests.e2e.ui.browser import Browser

API = "/api/v2/aibridge"
MESSAGE = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway(
        circuit_breaker_enabled=True, circuit_breaker_failure_threshold=2, trace=False
    )


@pytest.fixture
async def browser(gateway) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, f"{gateway.url}/ui")


async def ask(gateway, client, model) -> int:
    url = f"{gateway.url}/anthropic/v1/messages"
    async with client.post(url, json={**MESSAGE, "model": model}) as response:
        await response.read()
        return response.status


async def told(gateway, client, path):
    async with client.get(f"{gateway.url}{API}{path}") as response:
        assert response.status == 200
        return await response.json()


async def test_a_provider_that_fails_is_seen(gateway, client, browser):
    statuses = [await ask(gateway, client, "claude-x") for _ in range(2)]
    statuses += [await ask(gateway, client, "fake-status-529") for _ in range(3)]
    assert statuses[-2:] == [529, 503]
    anthropic, openai = (await told(gateway, client, "/providers/health"))["providers"]
    assert (anthropic["name"], anthropic["requests"], anthropic["failed"]) == ("anthropic", 4, 2)
    assert anthropic["statuses"] == {"200": 2, "529": 2}
    assert anthropic["refusals"] == {"circuit_open": 1}
    (circuit,) = anthropic["circuits"]
    assert (circuit["model"], circuit["state"]) == ("fake-status-529", "open")
    assert openai["requests"] == 0
    page = await browser.get("/providers")
    for text in ("circuit open", "fake-status-529", "circuit_open", "idle"):
        assert text in page.text, text


async def test_a_key_that_is_refused_is_named_by_its_hint(gateway, client, browser):
    await ask(gateway, client, "fake-status-401")
    anthropic = (await told(gateway, client, "/providers/health"))["providers"][0]
    assert anthropic["key"]["refused_status"] == 401
    page = await browser.get("/providers")
    assert "refused with 401" in page.text
    assert anthropic["key"]["hint"] in page.text
    assert ANTHROPIC_KEY not in page.text


async def test_settings_are_shown_with_where_they_come_from(gateway, client, browser):
    secret = "sk-ant-very-secret-key-1234567890"
    environment = {"CODER_AIBRIDGE_ANTHROPIC_KEY": secret}
    gateway.loaded.began(resolve({"--aibridge-rate-limit": "50"}, environment))
    found = await told(gateway, client, "/settings")
    rows = {each["name"]: each for each in found["settings"]}
    assert (rows["rate_limit"]["value"], rows["rate_limit"]["where"]) == (
        "50",
        "--aibridge-rate-limit",
    )
    assert rows["anthropic_key"]["source"] == "environment"
    assert secret not in str(found)
    page = await browser.get("/settings?set=1")
    assert "rate_limit" in page.text
    assert "max_stored_text" not in page.text
    assert secret not in page.text
    page = await browser.get("/settings?q=nothing-like-this")
    assert "No setting fits" in page.text


async def test_a_reload_keeps_what_needs_a_restart(gateway, client):
    gateway.loaded.began(resolve({"--aibridge-rate-limit": "50"}, {}))
    wanted = resolve({"--aibridge-rate-limit": "60", "--http-address": "127.0.0.1:9"}, {})
    waiting = [option for option in OPTIONS if option.name == "http_address"]
    gateway.loaded.reloaded(wanted, waiting)
    found = await told(gateway, client, "/settings")
    rows = {each["name"]: each["value"] for each in found["settings"]}
    assert (rows["rate_limit"], rows["http_address"]) == ("60", "127.0.0.1:4001")
    assert found["waiting"] == ["--http-address"]


async def test_the_status_is_that_of_the_command(gateway, client):
    found = await told(gateway, client, "/status")
    assert found["state"] == "serving"
    assert {"gateway", "web page"} <= {each["what"] for each in found["listeners"]}
