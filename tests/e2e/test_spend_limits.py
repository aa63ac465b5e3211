"""The HTTP API of spend limits through the gateway: who may, and what every answer has."""

import pytest
from aiohttp import web

from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.fake_provider.answer import Answer, Usage
from aibridged.identity.tokens import TokenStore
from tests.e2e.spend_limits import PRICES
from tests.socket_fixtures import listening
from tests.waiting import until

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


async def test_a_change_is_in_force_when_it_is_answered_and_alerts_are_posted(
    start_gateway, sqlite_database, client, fake
):
    alerts = []

    async def take(request):
        alerts.append(await request.json())
        return web.Response()

    async with listening(take) as webhook:
        gateway = await start_gateway(
            prices=PRICES,
            state_dir=sqlite_database.state_dir,
            budget_webhook_url=Secret(f"{webhook}/hook"),
        )

        async def change(amount):
            limit = {**LIMIT, "amount": amount}
            async with client.post(gateway.url + ROOT, json=limit) as answer:
                assert answer.status == 200
                return (await answer.json())["id"]

        async def ask(most):
            fake.play(Script(answer=Answer(usage=Usage(input=10, output=most))))
            body = {
                "model": "dime",
                "max_tokens": most,
                "messages": [{"role": "user", "content": "hi"}],
            }
            async with client.post(f"{gateway.url}/v1/messages", json=body) as answer:
                return answer.status

        id = await change("100")  # ten tokens
        assert [await ask(8), await ask(1)] == [200, 200]
        await until(lambda: len(alerts) == 1)
        assert await ask(5) == 429
        await until(lambda: len(alerts) == 2)
        assert [each["threshold"] for each in alerts] == [80, 100]
        assert alerts[0]["spend_limit"]["id"] == id
        assert (alerts[0]["used"], alerts[1]["used"]) == ("0.8", "0.9")
        await change(None)
        assert await ask(5) == 200
        await change("0")
        assert await ask(1) == 429
        async with client.delete(f"{gateway.url}{ROOT}/{id}") as answer:
            assert answer.status == 200
        assert await ask(1) == 200
