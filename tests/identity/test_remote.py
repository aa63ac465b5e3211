"""Asking another gateway whose token it is."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aibridged.identity import http_lookup as asking
from aibridged.identity import remote
from aibridged.identity.base import AuthUnavailableError, Rejection, TokenRejectedError
from aibridged.identity.token_format import mint


@pytest.fixture
async def gateway():
    """A gateway that answers as `answer` says, and what it was asked."""
    asked: list[web.BaseRequest] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append(request)
        return web.Response(**handle.answer)

    handle.answer = {"status": 200}
    server = TestServer(web.Application())
    server.app.router.add_get("/api/v2/aibridge/openapi.json", handle)
    await server.start_server()
    yield server, asked, handle
    await server.close()


@pytest.fixture
async def authenticator(gateway):
    async with asking.make_session() as session:
        yield remote.RemoteAuthenticator(str(gateway[0].make_url("")).rstrip("/"), session)


async def test_whom_the_gateway_lets_in_is_named_after_the_public_part(authenticator, gateway):
    token = mint()
    actor = await authenticator.authenticate(token.text)
    assert (actor.id, actor.api_key_id, actor.is_admin) == (token.id, token.id, False)
    [asked] = gateway[1]
    assert asked.headers["X-Coder-Token"] == token.text
    assert "Cookie" not in asked.headers


@pytest.mark.parametrize("status", [401, 403])
async def test_whom_it_refuses(authenticator, gateway, status):
    gateway[2].answer = {"status": status, "headers": {"X-Aibridge-Reason": "unauthenticated"}}
    assert await authenticator.authenticate(mint().text) is None


@pytest.mark.parametrize("rejection", Rejection)
async def test_why_it_refuses_whom_it_once_let_in(authenticator, gateway, rejection):
    gateway[2].answer = {"status": 401, "headers": {"X-Aibridge-Reason": rejection.value}}
    token = mint()
    with pytest.raises(TokenRejectedError) as caught:
        await authenticator.authenticate(token.text)
    assert (caught.value.rejection, caught.value.actor.api_key_id) == (rejection, token.id)


@pytest.mark.parametrize("token", [None, "", "sk-ant-key", "aib_short"])
async def test_what_can_be_no_token_is_not_sent(authenticator, gateway, token):
    assert await authenticator.authenticate(token) is None
    assert gateway[1] == []


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 429},
        {"status": 404},
        {"status": 503},
        {"status": 302, "headers": {"Location": "/elsewhere"}},
    ],
)
async def test_a_gateway_that_cannot_tell(authenticator, gateway, answer):
    gateway[2].answer = answer
    token = mint()
    with pytest.raises(AuthUnavailableError, match=f"responded with {answer['status']}") as caught:
        await authenticator.authenticate(token.text)
    assert token.secret not in str(caught.value)
    assert len(gateway[1]) == 1


async def test_a_gateway_that_is_away(authenticator, gateway):
    await gateway[0].close()
    with pytest.raises(AuthUnavailableError, match="check --aibridge-proxy-target"):
        await authenticator.authenticate(mint().text)
