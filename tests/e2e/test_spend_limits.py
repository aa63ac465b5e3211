"""The HTTP API of spend limits through the gateway: who may, and what every answer has."""

import pytest

from aibridged.identity.tokens import TokenStore

ROOT = "/v1/organizations/spend_limits"
LIMIT = {"scope": {"type": "organization"}, "amount": "5000", "period": "monthly"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_administrators_set_limits_with_their_own_tokens(recording, client, clock, fake):
    store = TokenStore(recording.database.engine, clock)
    tokens = {}
    for name in ("root", "ann"):
        store.create_user(name, is_admin=name == "root")
        tokens[name] = store.create_token(name, name="laptop", lifetime=None)[1].reveal()
    gateway = await recording.start(auth="token")
    admin = {"x-api-key": tokens["root"]}
    async with client.post(gateway.url + ROOT, json=LIMIT, headers=admin) as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.headers["request-id"]
        made = await answer.json()
    bearer = {"Authorization": f"Bearer {tokens['root']}"}
    async with client.get(f"{gateway.url}{ROOT}/{made['id']}", headers=bearer) as answer:
        assert await answer.json() == made
    async with client.get(f"{gateway.url}{ROOT}/audit", headers=bearer) as answer:
        [event] = (await answer.json())["data"]
        assert event["actor"] == {"name": "root"}
    for headers, status, kind in (
        ({}, 401, "authentication_error"),
        ({"x-api-key": tokens["ann"]}, 403, "permission_error"),
    ):
        for path in ("", f"/{made['id']}"):
            async with client.get(gateway.url + ROOT + path, headers=headers) as answer:
                said = await answer.json()
                assert (answer.status, said["type"], said["error"]["type"]) == (
                    status,
                    "error",
                    kind,
                )
                assert said["request_id"] == answer.headers["request-id"]
                assert said["request_id"] == answer.headers["X-Aibridge-Request-Id"]
    async with client.get(f"{gateway.url}{ROOT}x", headers=admin) as answer:
        assert (answer.status, "request-id" in answer.headers) == (404, False)
    assert fake.requests == []
