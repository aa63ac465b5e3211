"""Signing in at the real daemon, with an identity provider that is a process, too."""

import asyncio

import pytest

from tests.e2e.sign_in.conftest import Browser, SigningIn, free_port
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProviderProcess

BODY = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


@pytest.fixture
def provider():
    process = IdentityProviderProcess()
    process.add_user("ann", groups=["engineers"])
    yield process
    process.close()


@pytest.fixture
def variables(provider, database):
    port = free_port()
    url = database.url.render_as_string(hide_password=False)
    return {
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "CODER_ACCESS_URL": f"http://127.0.0.1:{port}",
        "CODER_AIBRIDGE_AUTH": "token",
        "CODER_OIDC_ISSUER_URL": provider.issuer,
        "CODER_OIDC_CLIENT_ID": CLIENT_ID,
        "CODER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "CODER_OIDC_SCOPES": "openid,profile,email,groups,offline_access",
        "CODER_OIDC_GROUP_AUTO_CREATE": "true",
        "CODER_STATE_DIR": str(database.state_dir),
        "CODER_PROMETHEUS_ENABLE": "true",
        "CODER_PROMETHEUS_ADDRESS": "127.0.0.1:0",
        **({} if database.is_sqlite else {"CODER_PG_CONNECTION_URL": url}),
    }


async def test_a_developer_signs_in_works_and_is_signed_out(
    start_daemon, command, provider, variables, client
):
    daemon = await start_daemon(**variables)
    gateway = SigningIn(variables["CODER_ACCESS_URL"], client)
    browser = Browser(gateway.url)
    try:
        await drive(daemon, gateway, browser, command, provider, variables, client)
    finally:
        await browser.session.close()


async def drive(daemon, gateway, browser, command, provider, variables, client):
    issued = [await signed_in(gateway, browser)]
    headers = {"Authorization": f"Bearer {issued[-1]['access_token']}"}
    async with client.post(
        f"{gateway.url}/anthropic/v1/messages", data=BODY, headers=headers
    ) as answer:
        assert answer.status == 200

    reply = await gateway.refresh(issued[-1])
    assert reply.status == 200
    issued.append(reply.json)
    provider.disable("ann")
    reply = await gateway.refresh(issued[-1])
    assert (reply.status, reply.json["error"]) == (401, "invalid_grant")
    await is_shut_out(gateway, issued[-1])

    provider.enable("ann")
    issued.append(await signed_in(gateway, browser))
    out = await command("users", "sign-out", "ann", **variables)
    assert (out.status, out.out) == (0, "Signed ann out: 2 sign-ins ended.\n"), out
    assert (await gateway.refresh(issued[-1])).status == 401
    await is_shut_out(gateway, issued[-1])

    plain = {"Accept-Encoding": "identity"}
    async with client.get(await daemon.metrics_url(), headers=plain) as response:
        metrics = await response.text()
    for outcome, count in {"started": 2, "signed_in": 2, "issued": 2, "refreshed": 1}.items():
        assert f'aibridged_sign_ins_total{{outcome="{outcome}"}} {count}.0' in metrics
    log = "".join(daemon.log)
    assert "ann signed in" in log
    for tokens in issued:
        for name in ("access_token", "refresh_token"):
            assert tokens[name].rpartition("_")[2] not in log


async def signed_in(gateway, browser):
    codes = await gateway.start()
    page = await browser.confirm(codes["user_code"], "ann")
    assert "You're signed in" in page.shown
    return (await gateway.poll(codes)).json


async def is_shut_out(gateway, tokens):
    """The daemon notices within a few seconds what another process, or the provider, has ended."""
    async with asyncio.timeout(15):
        while (await gateway.models(tokens)).status != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
