"""Paths without a provider's name: the record and the provider see what they see of named ones."""

import json

import pytest

from aibridged.fake_provider import Script

BODY = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
CHAT = {"model": "m", "messages": BODY["messages"]}
GATEWAY_TOKEN = {"Authorization": "Bearer gateway-token"}


async def posted(client, url, body, headers=()):
    async with client.post(url, json=body, headers={**GATEWAY_TOKEN, **dict(headers)}) as response:
        return response.status, response.headers, await response.read()


async def test_what_names_no_provider_is_recorded_as_the_providers(recording, fake, client):
    gateway = await recording.start()
    asked = {
        "/v1/messages": ("anthropic", "/v1/messages", BODY),
        "/v1/chat/completions": ("openai", "/v1/chat/completions", CHAT),
        "/chat/completions": ("openai", "/v1/chat/completions", CHAT),
        "/v1/responses": ("openai", "/v1/responses", {"model": "m", "input": "hi"}),
    }
    for path, (_, _, body) in asked.items():
        assert (await posted(client, gateway.url + path, body))[0] == 200
    received = [each.raw_path for each in fake.requests]
    assert received == [at for _, at, _ in asked.values()]
    assert fake.requests[0].header("X-Api-Key") == "sk-ant-organisation"
    assert fake.requests[1].header("Authorization") == "Bearer sk-openai-organisation"
    rows = [row["interception"] for row in await recording.rows()]
    names = sorted(name for name, _, _ in asked.values())
    assert sorted(row["provider_name"] for row in rows) == names
    assert {row["outcome"] for row in rows} == {"completed"}


async def test_a_circuit_is_shared_with_the_named_path(start_gateway, fake, client):
    gateway = await start_gateway(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
    fake.play(Script(status=503))
    told = [
        (await posted(client, gateway.url + path, BODY))[1].get("X-Aibridge-Reason")
        for path in ("/v1/messages", "/anthropic/v1/messages", "/v1/messages")
    ]
    assert told == [None, "circuit_open", "circuit_open"]
    assert fake.seen == 1


async def test_fields_and_beta_values_that_nobody_knows_pass_unchanged(start_gateway, fake, client):
    gateway = await start_gateway()
    body = json.dumps(
        {**BODY, "tags": {"team": "core"}, "safeguards": [{"type": "auto"}], "zebra": 1.50},
        indent=3,
    ).encode()
    beta = "request-tags-2026-08-21,safeguards-2026-01-01, zebra-2099-01-01"
    headers = {**GATEWAY_TOKEN, "Anthropic-Beta": beta, "X-Zebra": "1"}
    headers["Content-Type"] = "application/json"
    for path in ("/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"):
        async with client.post(gateway.url + path, data=body, headers=headers) as response:
            assert response.status == 200
        received = fake.requests[-1]
        assert received.raw_path == path
        assert received.body == body
        assert received.header("Anthropic-Beta") == beta
        assert received.header("X-Zebra") == "1"


@pytest.mark.parametrize("status", [404, 501])
async def test_tokens_that_the_provider_does_not_count(start_gateway, fake, client, status):
    gateway = await start_gateway()
    path = "/v1/messages/count_tokens"
    answer = b'{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}'
    fake.play(Script(status=status, body=answer))
    got, headers, body = await posted(client, gateway.url + path, BODY)
    assert got == 501
    assert headers["X-Should-Retry"] == "false"
    assert json.loads(body)["error"]["type"] == "not_supported"
    # Below its name, what the provider says is what the client gets; so are its other refusals.
    fake.play(Script(status=status, body=answer))
    got, _, body = await posted(client, f"{gateway.url}/anthropic{path}", BODY)
    assert (got, body) == (status, answer)
    fake.play(Script(status=400, body=answer))
    got, _, body = await posted(client, gateway.url + path, BODY)
    assert (got, body) == (400, answer)
    fake.play(Script(status=404, body=answer))
    got, _, body = await posted(client, f"{gateway.url}/v1/messages", BODY)
    assert (got, body) == (404, answer)


async def test_models_come_in_the_clients_shape(start_gateway, fake, client):
    gateway = await start_gateway()
    for headers, key in (({"anthropic-version": "2023-06-01"}, "X-Api-Key"), ({}, "Authorization")):
        async with client.get(
            f"{gateway.url}/v1/models?limit=1000", headers={**GATEWAY_TOKEN, **headers}
        ) as response:
            assert response.status == 200
            await response.read()
        assert fake.requests[-1].raw_path == "/v1/models?limit=1000"
        assert "organisation" in fake.requests[-1].header(key)


async def test_a_websocket_is_refused_as_below_a_name(start_gateway, fake, client):
    gateway = await start_gateway()
    headers = {**GATEWAY_TOKEN, "Connection": "Upgrade", "Upgrade": "websocket"}
    async with client.get(f"{gateway.url}/v1/responses", headers=headers) as response:
        assert response.status == 426
    async with client.get(f"{gateway.url}/v1/messages", headers=GATEWAY_TOKEN) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert "GET is not served at /anthropic/v1/messages: use POST." in await response.text()
    assert fake.seen == 0


async def test_how_a_caller_stands_in_money(start_gateway, client):
    """See test_budgets."""
    url = f"{(await start_gateway(auth='token')).url}/api/oauth/usage"
    async with client.get(url) as response:
        assert response.status == 401
    url = f"{(await start_gateway()).url}/api/oauth/usage"
    async with client.get(url) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    async with client.head(url) as response:
        assert response.status == 200
    async with client.post(url) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_person_who_opens_the_version_sees_what_this_is(start_gateway, client):
    gateway = await start_gateway()
    for path in ("/v1", "/v1/"):
        async with client.get(gateway.url + path) as response:
            assert "This is aibridged" in await response.text()
