"""GitHub Copilot as a provider: its users' own keys alone, and its headers and routes."""

from typing import Any

import pytest

from aibridged.config.kinds import Address
from aibridged.config.options import ProviderSettings
from aibridged.fake_provider import Script
from aibridged.records import schema

# What a Copilot client's key looks like, and what such a client sends beside it.
OWN = "Bearer tid=1;exp=1760000000;sku=plan;proxy-ep=proxy.example:c2lnbmVk"
TOKEN = {"X-Coder-Token": "gateway-token"}
HEADERS = {
    "User-Agent": "GitHubCopilotChat/0.33",
    "Editor-Version": "vscode/1.110.0",
    "Editor-Plugin-Version": "copilot-chat/0.33",
    "Copilot-Integration-Id": "vscode-chat",
    "Openai-Intent": "conversation-panel",
    "X-GitHub-Api-Version": "2025-10-01",
    "X-Initiator": "user",
    "X-Interaction-Id": "interaction-1",
    "X-Request-Id": "request-1",
}
SAID = [{"role": "user", "content": "hi"}]
BRIDGED = {
    "/chat/completions": {"model": "m", "messages": SAID},
    "/responses": {"model": "m", "input": "hi"},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": SAID},
}


@pytest.fixture
def settings(fake) -> dict[str, Any]:
    return {"providers": (ProviderSettings("copilot", "copilot", None, fake.base_url),)}


@pytest.mark.parametrize("stream", [False, True])
async def test_every_api_is_served_and_recorded(recording, settings, fake, client, stream):
    gateway = await recording.start(**settings)
    for path, body in BRIDGED.items():
        async with client.post(
            f"{gateway.url}/copilot{path}",
            json={**body, "stream": stream},
            headers={**HEADERS, **TOKEN, "Authorization": OWN},
        ) as response:
            assert (path, response.status) == (path, 200)
            assert b"provider" in await response.read()
        received = fake.requests[-1]
        assert received.raw_path == path
        assert {name: received.header(name) for name in HEADERS} == HEADERS
        assert received.header("Authorization") == OWN
        assert not any(b"gateway-token" in value for _, value in received.raw_headers)
    rows = await recording.rows()
    assert len(rows) == len(BRIDGED)
    for row in rows:
        kept = row["interception"]
        assert (kept["provider"], kept["provider_name"]) == ("copilot", "copilot")
        assert (kept["credential_kind"], kept["outcome"]) == ("byok", "completed")
        assert kept["client"] == "GitHub Copilot (VS Code)"
        assert kept["client_session_id"] == "interaction-1"
        assert [prompt["prompt"] for prompt in row[schema.user_prompts.name]] == ["hi"]
        assert [usage["input_tokens"] > 0 for usage in row[schema.token_usages.name]] == [True]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer gateway-token"},
        TOKEN,
        {**TOKEN, "Authorization": "Bearer gateway-token"},
        {**TOKEN, "X-Api-Key": "another-vendors"},
    ],
)
async def test_without_an_own_key_nothing_is_asked(start_gateway, settings, fake, client, headers):
    gateway = await start_gateway(**settings)
    asked = [("POST", path) for path in BRIDGED] + [("GET", "/models"), ("POST", "/mcp/")]
    for method, path in asked:
        async with client.request(
            method, f"{gateway.url}/copilot{path}", json=BRIDGED.get(path), headers=headers
        ) as response:
            assert (path, response.status) == (path, 401)
            assert response.headers["X-Aibridge-Reason"] == "own_key_required"
            assert "send it as Authorization: Bearer" in (await response.json())["message"]
    assert fake.seen == 0


async def test_what_is_asked_before_a_login_needs_no_own_key(start_gateway, settings, fake, client):
    gateway = await start_gateway(**settings)
    for path in ("/_ping", "/.well-known/oauth-protected-resource/mcp/"):
        fake.play(Script(body=b"{}"))
        async with client.get(f"{gateway.url}/copilot{path}", headers=TOKEN) as response:
            assert (path, response.status) == (path, 200)
        received = fake.requests[-1]
        assert (received.raw_path, received.header("Authorization")) == (path, None)


async def test_other_routes_are_passed_on_with_the_own_key(start_gateway, settings, fake, client):
    gateway = await start_gateway(**settings)
    for method, path in (
        ("GET", "/models"),
        ("POST", "/models/gpt-x/policy"),
        ("DELETE", "/agents/sessions/s"),
        ("POST", "/mcp/"),
    ):
        fake.play(Script(body=b"{}"))
        async with client.request(
            method, f"{gateway.url}/copilot{path}", headers={**TOKEN, "Authorization": OWN}
        ) as response:
            assert (path, response.status) == (path, 200)
        received = fake.requests[-1]
        assert (received.method, received.raw_path) == (method, path)
        assert received.header("Authorization") == OWN


async def test_metrics_name_it(start_gateway, settings, client):
    gateway = await start_gateway(
        **settings, prometheus_enable=True, prometheus_address=Address("127.0.0.1", 0)
    )
    async with client.post(
        f"{gateway.url}/copilot/responses",
        json=BRIDGED["/responses"],
        headers={**TOKEN, "Authorization": OWN},
    ) as response:
        assert response.status == 200
        await response.read()
    [url] = gateway.metrics_urls
    async with client.get(url, headers={"Accept-Encoding": "identity"}) as response:
        lines = (await response.text()).splitlines()
    assert any(
        line.startswith("coder_ai_gateway_interceptions_total{") and 'provider="copilot"' in line
        for line in lines
    )
