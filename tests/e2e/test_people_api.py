"""People by the HTTP API of the running gateway: what is changed counts at once."""

import pytest

from aibridged.identity.tokens import TokenStore

API = "/api/v2/aibridge"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_change_over_http_counts_at_once(recording, client, clock):
    store = TokenStore(recording.database.engine, clock)
    store.create_user("root", is_admin=True)
    _, secret = store.create_token("root", name="", lifetime=None)
    gateway = await recording.start(auth="token")

    async def ask(method, path, json=None, token=None, status=200):
        headers = {"X-Coder-Token": token or secret.reveal()}
        url = gateway.url + API + path
        async with client.request(method, url, json=json, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(), answer.headers

    await ask("POST", "/users", {"username": "ann"})
    made, headers = await ask("POST", "/users/ann/tokens", {"name": "laptop"})
    assert headers["Cache-Control"] == "no-store"
    anns = made["token"]
    me, _ = await ask("GET", "/me", token=anns)
    assert (me["username"], me["token_id"]) == ("ann", made["id"])
    own, headers = await ask("POST", "/me/tokens", {}, token=anns)
    assert (own["username"], headers["Cache-Control"]) == ("ann", "no-store")
    await ask("GET", "/users", token=anns, status=403)
    await ask("PATCH", "/users/ann", {"is_admin": True})
    await ask("GET", "/users", token=anns)
    await ask("POST", "/users/ann/suspend")
    refused, headers = await ask("GET", "/me", token=anns, status=401)
    assert refused["error"]["code"] == headers["X-Aibridge-Reason"] == "user_suspended"
    await ask("POST", "/users/ann/resume")
    await ask("DELETE", f"/me/tokens/{own['id']}", token=anns)
    await ask("GET", "/me", token=own["token"], status=401)


async def test_without_authentication_there_is_nobody_to_change(start_gateway, client):
    gateway = await start_gateway(auth="none")
    async with client.get(f"{gateway.url}{API}/users") as answer:
        said = await answer.json()
    assert (answer.status, said["error"]["code"]) == (404, "no_users_here")
    async with client.get(f"{gateway.url}{API}/me") as answer:
        me = await answer.json()
    assert (answer.status, me["username"], me["users_are"]) == (200, "local", "nowhere")
