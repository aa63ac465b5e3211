"""Against a stand-in for Coder on a real socket, which answers as Coder's API is documented."""

import asyncio
import re
import socket
import traceback
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from loguru import logger

from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.identity import http_lookup as asking
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.coder import CoderAuthenticator

OWNER = {"name": "owner", "display_name": "Owner"}
SECRET = "Sx9Qm3Lk7Vb1Zt5Rw8Yp2N"


class FakeCoder:
    """`GET /api/v2/users/me`; users by the id of their key. `answer` overrides what it says."""

    def __init__(self):
        self.users = {}
        self.asked = []
        self.answer = None

    def add(self, key_id, username, *, status="active", roles=()):
        self.users[key_id] = {
            "id": str(uuid4()),
            "username": username,
            "name": username.title(),
            "email": f"{username}@example.com",
            "avatar_url": "",
            "created_at": "2019-08-24T14:15:22Z",
            "updated_at": "2019-08-24T14:15:22Z",
            "last_seen_at": "2019-08-24T14:15:22Z",
            "status": status,
            "login_type": "password",
            "theme_preference": "",
            "organization_ids": [str(uuid4())],
            "roles": list(roles),
            "has_ai_seat": True,
        }
        return f"{key_id}-{SECRET}"

    async def users_me(self, request):
        token = request.headers.get("Coder-Session-Token", "")
        self.asked.append((token, dict(request.cookies)))
        if self.answer is not None:
            return await self.answer(request)
        key_id, _, secret = token.partition("-")
        user = self.users.get(key_id)
        if user is None or secret != SECRET:
            return self._refusal("API key is invalid.")
        if user["status"] == "suspended":
            return self._refusal('User is not active (status = "suspended").')
        response = web.json_response(user)
        response.set_cookie("coder_session_token", token)
        return response

    def _refusal(self, message):
        return web.json_response({"message": message}, status=401)


@pytest.fixture
async def fake():
    fake = FakeCoder()
    application = web.Application()
    application.router.add_get("/api/v2/users/me", fake.users_me)
    server = TestServer(application)
    await server.start_server()
    fake.url = str(server.make_url("/")).rstrip("/")
    yield fake
    await server.close()


@pytest.fixture
async def session():
    async with asking.make_session(timeout=5) as session:
        yield session


@pytest.fixture
async def authenticator(fake, session):
    return CoderAuthenticator(fake.url, session)


def answers(fake, status=200, **options):
    async def answer(request):
        return web.Response(status=status, **options)

    fake.answer = answer


async def test_a_token_is_its_users(fake, authenticator):
    token = fake.add("ALICE00000", "alice")
    user_id = fake.users["ALICE00000"]["id"]
    assert await authenticator.authenticate(token) == Actor(user_id, "alice", "ALICE00000", False)


async def test_a_slash_at_the_end_of_the_url_changes_nothing(fake, session):
    token = fake.add("ALICE00000", "alice")
    assert await CoderAuthenticator(fake.url + "/", session).authenticate(token) is not None


@pytest.mark.parametrize(
    ("roles", "is_admin"),
    [
        ([], False),
        ([OWNER], True),
        ([{"name": "auditor", "display_name": "Auditor"}, OWNER], True),
        ([{"name": "user-admin", "display_name": "User Admin"}], False),
        ([{**OWNER, "organization_id": str(uuid4())}], False),
    ],
)
async def test_the_owner_of_the_deployment_is_an_admin(fake, authenticator, roles, is_admin):
    actor = await authenticator.authenticate(fake.add("ALICE00000", "alice", roles=roles))
    assert actor.is_admin is is_admin


async def test_a_token_that_coder_does_not_know_is_nobodys(fake, authenticator):
    assert await authenticator.authenticate(f"ALICE00000-{SECRET}") is None
    assert len(fake.asked) == 1


@pytest.mark.parametrize("status", ["suspended", "dormant", "something-new"])
async def test_a_user_who_is_not_active_is_refused(fake, authenticator, status):
    assert await authenticator.authenticate(fake.add("ALICE00000", "alice", status=status)) is None


async def test_403_is_a_refusal_too(fake, authenticator):
    answers(fake, 403)
    assert await authenticator.authenticate(f"ALICE00000-{SECRET}") is None


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "sk-ant-api03-" + SECRET,
        "sk-" + SECRET,
        "aib_0123456789_" + "x" * 43,
        f"ALICE00000-{SECRET}\r\nX: y",
        f"ALICE00000-{SECRET}-{SECRET}",
        f"ALICE0000-{SECRET}",
        f"ALICE00000-{SECRET[:-1]}",
    ],
)
async def test_what_is_no_token_of_coders_is_not_shown_to_coder(fake, authenticator, token):
    assert await authenticator.authenticate(token) is None
    assert fake.asked == []


@pytest.mark.parametrize("status", [204, 301, 307, 400, 404, 418, 429, 500, 502, 503])
async def test_any_other_answer_lets_nobody_in(fake, authenticator, status):
    token = fake.add("ALICE00000", "alice")
    answers(fake, status, headers={"Location": f"{fake.url}/api/v2/users/me"})
    with pytest.raises(AuthUnavailableError, match=rf"responded with {status}; check --coder-url"):
        await authenticator.authenticate(token)
    assert len(fake.asked) == 1, "a redirect isn't followed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"id": "1", "username": "alice", "status": "active"}',
        b'{"id": "6a7a5c5e-0000-4000-8000-000000000000", "status": "active"}',
        b'{"id": "6a7a5c5e-0000-4000-8000-000000000000", "username": "alice"}',
        b'{"id": "6a7a5c5e-0000-4000-8000-000000000000", "username": "\xff", "status": "active"}',
    ],
)
async def test_an_answer_that_is_no_user_lets_nobody_in(fake, authenticator, body):
    answers(fake, body=body)
    with pytest.raises(AuthUnavailableError, match="a response that is not a user"):
        await authenticator.authenticate(f"ALICE00000-{SECRET}")


async def test_an_answer_without_end_is_not_read_to_its_end(fake, authenticator):
    sent = 0

    async def endless(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            sent += 65536

    fake.answer = endless
    with pytest.raises(AuthUnavailableError, match="an oversized response"):
        await authenticator.authenticate(f"ALICE00000-{SECRET}")
    assert sent < 100_000_000


async def test_a_coder_that_does_not_answer_in_time_lets_nobody_in(fake):
    async def never(request):
        await asyncio.Event().wait()

    fake.answer = never
    async with asking.make_session(timeout=0.05) as session:
        with pytest.raises(AuthUnavailableError, match="in time"):
            await CoderAuthenticator(fake.url, session).authenticate(f"ALICE00000-{SECRET}")


async def test_a_coder_that_hangs_up_lets_nobody_in(fake, authenticator):
    async def hang_up(request):
        request.transport.abort()
        await asyncio.Event().wait()

    fake.answer = hang_up
    with pytest.raises(AuthUnavailableError, match="could not be reached"):
        await authenticator.authenticate(f"ALICE00000-{SECRET}")


async def test_a_coder_that_is_not_there_lets_nobody_in(session):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(AuthUnavailableError, match="reached: connection refused;") as caught:
            await CoderAuthenticator(url, session).authenticate(f"ALICE00000-{SECRET}")
    assert url in str(caught.value)


async def test_one_callers_cookie_does_not_go_out_with_the_next_ones_token(fake, session):
    # By name: a cookie jar takes nothing from a bare IP address.
    authenticator = CoderAuthenticator(fake.url.replace("127.0.0.1", "localhost"), session)
    tokens = [fake.add("ALICE00000", "alice"), fake.add("BOB0000000", "bob")]
    for token in tokens:
        await authenticator.authenticate(token)
    assert fake.asked == [(token, {}) for token in tokens]


async def test_the_token_is_in_no_log_and_no_error(fake, authenticator):
    lines = []
    sink = logger.add(lines.append, level=0)

    async def echo(request):
        """Malformed, with the token in what is malformed."""
        request.transport.write(f"HTTP/1.1 {SECRET}\r\n{SECRET}\r\n\r\n".encode())
        request.transport.close()
        await asyncio.Event().wait()

    token = fake.add("ALICE00000", "alice")
    shown = [repr(authenticator), repr(await authenticator.authenticate(token))]
    for status in (302, 500):
        answers(fake, status, body=token.encode())
        with pytest.raises(AuthUnavailableError) as caught:
            await authenticator.authenticate(token)
        shown.append("".join(traceback.format_exception(caught.value)))
    answers(fake, body=token.encode())
    with pytest.raises(AuthUnavailableError) as caught:
        await authenticator.authenticate(token)
    shown.append("".join(traceback.format_exception(caught.value)))
    fake.answer = echo
    with pytest.raises(AuthUnavailableError) as caught:
        await authenticator.authenticate(token)
    shown.append("".join(traceback.format_exception(caught.value)))
    logger.remove(sink)
    assert not re.search(SECRET, "\n".join([*shown, *lines]))


async def test_without_a_descriptor_left_the_gateway_is_at_capacity(
    authenticator, fake, no_descriptor_left
):
    token = fake.add("abcdefghij", "alice")
    with no_descriptor_left(), pytest.raises(GatewayError) as refusal:
        await authenticator.authenticate(token)
    assert refusal.value.kind is AT_CAPACITY
